//! Making a container: our words turned into the engine's.

use std::collections::HashMap;

use bollard::{models, query_parameters::CreateContainerOptionsBuilder};

use super::{
    container::MountKind,
    deadline,
    docker::{Engine, bounded},
    failure::Failure,
    spec::{ContainerSpec, HealthTest, Healthcheck, LogDriver, Membership, MountSpec, Port, Restart},
};
use crate::error::{Kind, Result};

/// What came of making a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateContainer {
    /// It was made; this is its id.
    Created(String),
    /// There is one of that name already; the engine's words.
    NameTaken(String),
    /// Its first network is not there, and this engine looks it up already now; the engine's words.
    NoNetwork(String),
}

/// In what an engine says of a network that is not there.
const NO_NETWORK: [&str; 2] = ["network", "not found"];

impl Engine {
    /// Makes a container, without starting it, and attaches it to its networks. Some 10 ms. Most engines look
    /// the first network up when the container is started, so it may be made meanwhile.
    ///
    /// Errors: [`Kind::Image`] when the image is not here, else [`Kind::Engine`]. When a network cannot be joined the
    /// container is removed again.
    pub async fn create_container(&self, spec: &ContainerSpec) -> Result<CreateContainer> {
        let act = || format!("cannot create container {}", spec.name);
        let mut options = CreateContainerOptionsBuilder::new().name(&spec.name);
        if let Some(platform) = &spec.platform {
            options = options.platform(platform);
        }
        let request = self.docker.create_container(Some(options.build()), body(spec));
        let id = match bounded(deadline::CREATE, request).await {
            Ok(answer) => answer.id,
            Err(Failure::Refused { status: 409, message }) => return Ok(CreateContainer::NameTaken(message)),
            Err(failure) if failure.refusal().is_some_and(|text| text.starts_with("No such image")) => {
                return Err(failure.into_error_of(Kind::Image, &act()));
            }
            Err(failure) => {
                return match failure.refusal().filter(|text| NO_NETWORK.iter().all(|part| text.contains(part))) {
                    Some(text) => Ok(CreateContainer::NoNetwork(text.to_owned())),
                    None => Err(failure.into_error(&act())),
                };
            }
        };
        for membership in spec.networks.iter().skip(1) {
            if let Err(failure) = self.join(&id, membership).await {
                let error = failure.into_error(&format!("{} in network {}", act(), membership.network));
                // The error that matters is the first; what is left behind carries its labels and is found by them.
                let _ = self.remove_container(&id).await;
                return Err(error);
            }
        }
        Ok(CreateContainer::Created(id))
    }

    /// Engines before 25 take one network at creation and refuse more.
    async fn join(&self, id: &str, membership: &Membership) -> Result<(), Failure> {
        let request =
            models::NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(endpoint(membership)) };
        bounded(deadline::CREATE, self.docker.connect_network(&membership.network, request)).await
    }
}

fn body(spec: &ContainerSpec) -> models::ContainerCreateBody {
    let exposed = spec.ports.iter().map(port_key).chain(spec.expose.iter().map(|port| with_protocol(port)));
    models::ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: spec.command.clone(),
        entrypoint: spec.entrypoint.clone().map(emptied),
        env: Some(spec.env.iter().map(env_entry).collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        exposed_ports: some(exposed.collect()),
        healthcheck: spec.healthcheck.as_ref().map(health_config),
        user: spec.user.clone(),
        working_dir: spec.working_dir.clone(),
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_timeout_s,
        host_config: Some(host_config(spec)),
        networking_config: spec.networks.first().map(|first| models::NetworkingConfig {
            endpoints_config: Some([(first.network.clone(), endpoint(first))].into()),
        }),
        ..Default::default()
    }
}

fn host_config(spec: &ContainerSpec) -> models::HostConfig {
    models::HostConfig {
        network_mode: spec.networks.first().map(|first| first.network.clone()).or_else(|| spec.network_mode.clone()),
        port_bindings: Some(bindings(&spec.ports)),
        mounts: some(spec.mounts.iter().map(mount).collect()),
        restart_policy: Some(restart(&spec.restart)),
        log_config: spec.log.as_ref().map(log_config),
        init: spec.init,
        readonly_rootfs: Some(spec.read_only),
        privileged: Some(spec.privileged),
        shm_size: spec.shm_size_bytes,
        memory: spec.memory_bytes,
        memory_reservation: spec.memory_reservation_bytes,
        memory_swap: spec.memory_swap_bytes,
        nano_cpus: spec.nano_cpus,
        cpu_shares: spec.cpu_shares,
        cpuset_cpus: spec.cpuset.clone(),
        pids_limit: spec.pids_limit,
        ulimits: some(spec.ulimits.iter().map(ulimit).collect()),
        cap_add: some(spec.cap_add.clone()),
        cap_drop: some(spec.cap_drop.clone()),
        security_opt: some(spec.security_opt.clone()),
        sysctls: Some(spec.sysctls.clone().into_iter().collect()),
        device_cgroup_rules: some(spec.device_cgroup_rules.clone()),
        devices: some(spec.devices.iter().map(|device| self::device(device)).collect()),
        extra_hosts: some(spec.extra_hosts.clone()),
        dns: some(spec.dns.clone()),
        dns_search: some(spec.dns_search.clone()),
        dns_options: some(spec.dns_opt.clone()),
        group_add: some(spec.group_add.clone()),
        userns_mode: spec.userns_mode.clone(),
        pid_mode: spec.pid_mode.clone(),
        ipc_mode: spec.ipc_mode.clone(),
        oom_score_adj: spec.oom_score_adj,
        runtime: spec.runtime.clone(),
        ..Default::default()
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// An empty list means "as the image has it" to the engine; one empty word takes the entrypoint away.
fn emptied(entrypoint: Vec<String>) -> Vec<String> {
    if entrypoint.is_empty() { vec![String::new()] } else { entrypoint }
}

fn env_entry((name, value): &(String, Option<String>)) -> String {
    value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}"))
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

fn port_key(port: &Port) -> String {
    format!("{}/{}", port.target, port.protocol.as_str())
}

fn bindings(ports: &[Port]) -> models::PortMap {
    let mut map: models::PortMap = HashMap::new();
    for port in ports {
        let binding = models::PortBinding {
            host_ip: Some(port.host_ip.to_string()),
            host_port: Some(if port.host_port == 0 { String::new() } else { port.host_port.to_string() }),
        };
        map.entry(port_key(port)).or_default().get_or_insert_default().push(binding);
    }
    map
}

fn endpoint(membership: &Membership) -> models::EndpointSettings {
    models::EndpointSettings {
        aliases: some(membership.aliases.clone()),
        ipam_config: membership
            .ipv4_address
            .clone()
            .map(|address| models::EndpointIpamConfig { ipv4_address: Some(address), ..Default::default() }),
        ..Default::default()
    }
}

fn mount(spec: &MountSpec) -> models::Mount {
    let (typ, source) = match spec.kind {
        MountKind::Bind => (models::MountType::BIND, Some(spec.source.clone())),
        MountKind::Tmpfs => (models::MountType::TMPFS, None),
        MountKind::Volume | MountKind::Other => (models::MountType::VOLUME, Some(spec.source.clone())),
    };
    models::Mount {
        target: Some(spec.target.clone()),
        source,
        typ: Some(typ),
        read_only: Some(spec.read_only),
        volume_options: (typ == models::MountType::VOLUME).then(|| models::MountVolumeOptions {
            no_copy: Some(spec.nocopy),
            labels: Some(spec.volume_labels.clone().into_iter().collect()),
            ..Default::default()
        }),
        bind_options: (typ == models::MountType::BIND).then(|| bind_options(spec)),
        tmpfs_options: (typ == models::MountType::TMPFS).then(|| models::MountTmpfsOptions {
            size_bytes: spec.tmpfs_size_bytes,
            mode: spec.tmpfs_mode,
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn bind_options(spec: &MountSpec) -> models::MountBindOptions {
    models::MountBindOptions {
        // Engines before 23 ignore it and refuse a missing path.
        create_mountpoint: spec.create_host_path.then_some(true),
        propagation: spec.propagation.as_deref().and_then(|propagation| propagation.parse().ok()),
        ..Default::default()
    }
}

fn restart(policy: &Restart) -> models::RestartPolicy {
    use models::RestartPolicyNameEnum as Name;
    let (name, maximum_retry_count) = match policy {
        Restart::No => (Name::NO, None),
        Restart::Always => (Name::ALWAYS, None),
        Restart::UnlessStopped => (Name::UNLESS_STOPPED, None),
        Restart::OnFailure(times) => (Name::ON_FAILURE, *times),
    };
    models::RestartPolicy { name: Some(name), maximum_retry_count }
}

fn log_config(log: &LogDriver) -> models::HostConfigLogConfig {
    models::HostConfigLogConfig {
        typ: Some(log.driver.clone()),
        config: Some(log.options.clone().into_iter().collect()),
    }
}

fn ulimit(limit: &super::spec::Ulimit) -> models::ResourcesUlimits {
    models::ResourcesUlimits { name: Some(limit.name.clone()), soft: Some(limit.soft), hard: Some(limit.hard) }
}

/// `HOST[:CONTAINER[:PERMISSIONS]]`.
fn device(text: &str) -> models::DeviceMapping {
    let mut parts = text.splitn(3, ':');
    let host = parts.next().map(str::to_owned);
    models::DeviceMapping {
        path_in_container: parts.next().map(str::to_owned).or_else(|| host.clone()),
        path_on_host: host,
        cgroup_permissions: Some(parts.next().unwrap_or("rwm").to_owned()),
    }
}

fn health_config(check: &Healthcheck) -> models::HealthConfig {
    let test = match &check.test {
        HealthTest::Disabled => Some(vec!["NONE".to_owned()]),
        HealthTest::Inherit => None,
        HealthTest::Command(words) => Some(std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect()),
        HealthTest::Shell(line) => Some(vec!["CMD-SHELL".to_owned(), line.clone()]),
    };
    models::HealthConfig {
        test,
        interval: check.interval_ns,
        timeout: check.timeout_ns,
        start_period: check.start_period_ns,
        start_interval: check.start_interval_ns,
        retries: check.retries,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Protocol, Ulimit};

    #[test]
    fn a_variable_without_a_value_is_taken_away_and_an_empty_one_stays() {
        assert_eq!(env_entry(&("A".into(), None)), "A");
        assert_eq!(env_entry(&("A".into(), Some(String::new()))), "A=");
    }

    #[test]
    fn two_host_ports_may_lead_to_one_target() {
        let port = |host_port| Port { host_ip: [127, 0, 0, 1].into(), host_port, target: 80, protocol: Protocol::Tcp };
        let map = bindings(&[port(8080), port(0)]);
        let ports: Vec<_> = map["80/tcp"].iter().flatten().filter_map(|binding| binding.host_port.clone()).collect();
        assert_eq!(ports, ["8080", ""]);
    }

    #[test]
    fn memory_is_mounted_without_a_source() {
        let spec = MountSpec { kind: MountKind::Tmpfs, target: "/run".into(), ..Default::default() };
        let mount = mount(&spec);
        assert_eq!(mount.source, None);
        assert!(mount.volume_options.is_none());
    }

    #[test]
    fn an_empty_entrypoint_takes_the_images_away() {
        assert_eq!(emptied(vec![]), [""]);
    }

    #[test]
    fn a_device_named_once_keeps_its_path() {
        let mapping = device("/dev/fuse");
        assert_eq!(mapping.path_in_container.as_deref(), Some("/dev/fuse"));
        assert_eq!(mapping.cgroup_permissions.as_deref(), Some("rwm"));
    }

    #[test]
    fn limits_and_checks_keep_their_figures() {
        let limit = ulimit(&Ulimit { name: "nofile".into(), soft: 1, hard: 2 });
        assert_eq!((limit.soft, limit.hard), (Some(1), Some(2)));
        let check = health_config(&Healthcheck {
            test: HealthTest::Shell("true".into()),
            interval_ns: Some(1),
            timeout_ns: None,
            start_period_ns: None,
            start_interval_ns: None,
            retries: None,
        });
        assert_eq!(check.test.unwrap(), ["CMD-SHELL", "true"]);
    }
}
