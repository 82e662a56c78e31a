//! What Compose takes for granted, said outright.

use super::extension::Extension;
use super::healthcheck::Healthcheck;
use super::logging::Logging;
use super::network::Attachment;
use super::project::Project;
use super::relation::Dependency;
use super::service::Service;

/// The network of services that name none.
const DEFAULT: &str = "default";

/// Makes the project say what Compose takes for granted.
pub(super) fn normalise(project: &mut Project, lookup: &dyn Fn(&str) -> Option<String>) {
    for service in project.services.values_mut() {
        join_default(service);
        wait_for_namespaces(service);
        // What says nothing is not there.
        service.healthcheck.take_if(|healthcheck| *healthcheck == Healthcheck::default());
        service.logging.take_if(|logging| *logging == Logging::default());
        service.x_sandbox.take_if(|extension| *extension == Extension::default());
        // A variable without a value is handed through from where the project is loaded.
        for (name, value) in &mut service.environment {
            *value = value.take().or_else(|| lookup(name));
        }
        if let Some(build) = &mut service.build {
            build.context.get_or_insert_with(|| ".".into());
        }
    }
    if project.services.values().any(|service| service.networks.contains_key(DEFAULT)) {
        project.networks.entry(DEFAULT.into()).or_default();
    }
}

fn join_default(service: &mut Service) {
    if service.networks.is_empty() && service.network_mode.is_none() {
        service.networks.insert(DEFAULT.into(), Attachment::default());
    }
}

/// Who lives in another's namespace cannot start before it.
fn wait_for_namespaces(service: &mut Service) {
    let modes = [&service.network_mode, &service.ipc, &service.pid];
    let names = modes.into_iter().flatten().filter_map(|mode| mode.strip_prefix("service:"));
    for name in names.map(str::to_owned).collect::<Vec<_>>() {
        service.depends_on.entry(name).or_insert(Dependency { restart: true, ..Dependency::default() });
    }
}
