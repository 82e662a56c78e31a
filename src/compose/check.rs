//! What only the whole project can tell: whether its parts know each other.

use std::collections::BTreeMap;

use super::complaint::{Checked, Complaint, Path};
use super::mount::MountKind;
use super::order;
use super::project::Project;
use super::service::Service;
use super::suggest::nearest;

/// Complains of the first part that names another which is not there, or that contradicts itself.
pub(super) fn check(project: &Project) -> Checked<()> {
    for (name, service) in &project.services {
        let here = Path::of(&["services", name]);
        stands_alone(service, &here)?;
        knows_its_services(project, service, &here)?;
        knows_its_networks(project, service, &here)?;
        knows_its_volumes(project, service, &here)?;
    }
    unique_container_names(project)?;
    order::start_order(project).map(drop)
}

fn stands_alone(service: &Service, here: &Path) -> Checked<()> {
    if service.image.as_ref().is_none_or(String::is_empty) && service.build.is_none() {
        return Err(Complaint::new(here.clone(), "the service has neither `image` nor `build`"));
    }
    if service.network_mode.is_some() && !service.networks.is_empty() {
        return Err(Complaint::new(here.key("network_mode"), "a service has either `network_mode` or `networks`"));
    }
    let shares = service.network_mode.as_deref().is_some_and(|mode| mode != "bridge" && mode != "none");
    if shares && !service.ports.is_empty() {
        return Err(Complaint::new(here.key("ports"), "a service in another's network has no ports of its own"));
    }
    if let Some(build) = &service.build
        && build.dockerfile.is_some()
        && build.dockerfile_inline.is_some()
    {
        return Err(Complaint::new(here.key("build"), "it has either `dockerfile` or `dockerfile_inline`"));
    }
    Ok(())
}

fn knows_its_services(project: &Project, service: &Service, here: &Path) -> Checked<()> {
    for (name, dependency) in &service.depends_on {
        if dependency.required {
            known(name, "service", &project.services, &here.key("depends_on").key(name))?;
        }
    }
    Ok(())
}

fn knows_its_networks(project: &Project, service: &Service, here: &Path) -> Checked<()> {
    service
        .networks
        .keys()
        .try_for_each(|name| known(name, "network", &project.networks, &here.key("networks").key(name)))
}

fn knows_its_volumes(project: &Project, service: &Service, here: &Path) -> Checked<()> {
    for mount in &service.volumes {
        if let MountKind::Volume { source: Some(name), .. } = &mount.kind {
            known(name, "volume", &project.volumes, &here.key("volumes").key(name))?;
        }
    }
    Ok(())
}

fn known<T>(name: &str, what: &str, all: &BTreeMap<String, T>, path: &Path) -> Checked<()> {
    if all.contains_key(name) {
        return Ok(());
    }
    let complaint = Complaint::new(path.clone(), format!("there is no {what} `{name}` in the project"));
    let names: Vec<&str> = all.keys().map(String::as_str).collect();
    Err(match nearest(name, &names) {
        Some(meant) => complaint.hint(format!("did you mean `{meant}`?")),
        None if what == "service" => complaint,
        None => complaint.hint(format!("declare it under the top-level `{what}s`")),
    })
}

fn unique_container_names(project: &Project) -> Checked<()> {
    let mut holders: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, service) in &project.services {
        let Some(container) = &service.container_name else { continue };
        if let Some(other) = holders.insert(container, name) {
            let path = Path::of(&["services", name, "container_name"]);
            return Err(Complaint::new(path, format!("the service `{other}` has the same container name")));
        }
    }
    Ok(())
}
