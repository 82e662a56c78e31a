//! From a Compose project to what the engine is asked for.
//!
//! Pure. A service is taken apart field by field, so that a key which the model learns cannot be forgotten here; what
//! has no counterpart yet is refused by name.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::COMPOSE_FILE;
use crate::claims::subnet::Subnet;
use crate::compose::{self, Condition, MountKind, Probe, Project, Service};
use crate::engine::{self, ContainerSpec, HealthTest, Membership, MountSpec, NetworkSpec, VolumeSpec, labels};
use crate::env::POSTGRES_USER;
use crate::error::{Error, Kind, Result};
use crate::plan::action::{Login, Question, Secret};
use crate::plan::desired::{Dependency, ServiceWanted, Stack};
use crate::record::Record;

/// Gives every network of the project, of which there may be one, the sandbox's own addresses.
pub(super) fn give_subnet(project: &mut Project, subnet: Subnet) -> Result<()> {
    let mut own = project.networks.iter_mut().filter(|(_, network)| !network.external);
    if let Some((_, network)) = own.next() {
        let config = compose::Subnet { subnet: Some(subnet.to_string()), ..Default::default() };
        network.ipam = Some(compose::Ipam { config: vec![config], ..Default::default() });
    }
    match own.next() {
        None => Ok(()),
        Some((name, _)) => Err(unsupported(&format!("networks.{name}: a second network"))),
    }
}

/// The project as networks, volumes and containers.
pub(super) fn lower(project: &Project, record: &Record, worktree: &Path) -> Result<Stack> {
    let name = &record.claim.names.project;
    let context = Context { project, record, worktree };
    let mut stack = Stack::default();
    for (key, network) in project.networks.iter().filter(|(_, network)| !network.external) {
        stack.networks.push(network_spec(key, network, name));
    }
    for (key, volume) in project.volumes.iter().filter(|(_, volume)| !volume.external) {
        stack.volumes.push(volume_spec(key, volume, name));
    }
    for key in project.start_order() {
        stack.services.push(context.service(key, &project.services[key])?);
    }
    Ok(stack)
}

struct Context<'a> {
    project: &'a Project,
    record: &'a Record,
    worktree: &'a Path,
}

fn network_spec(key: &str, network: &compose::Network, project: &str) -> NetworkSpec {
    let subnet = network.ipam.as_ref().and_then(|ipam| ipam.config.first()?.subnet.clone());
    NetworkSpec {
        name: network.full_name(project, key),
        driver: network.driver.clone(),
        driver_opts: network.driver_opts.clone(),
        labels: with(&network.labels, &[(labels::compose::PROJECT, project), (labels::compose::NETWORK, key)]),
        subnet,
        internal: network.internal.unwrap_or(false),
        attachable: network.attachable.unwrap_or(false),
        ipv6: network.enable_ipv6.unwrap_or(false),
    }
}

fn volume_spec(key: &str, volume: &compose::Volume, project: &str) -> VolumeSpec {
    VolumeSpec {
        name: volume.full_name(project, key),
        driver: volume.driver.clone(),
        driver_opts: volume.driver_opts.clone(),
        labels: with(&volume.labels, &[(labels::compose::PROJECT, project), (labels::compose::VOLUME, key)]),
    }
}

fn with(labels: &BTreeMap<String, String>, more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    labels.clone().into_iter().chain(more).collect()
}

impl Context<'_> {
    fn service(&self, key: &str, service: &Service) -> Result<ServiceWanted> {
        let container = self.container(key, service)?;
        let question = self.question(key, service)?;
        let databases = service.x_sandbox.as_ref().map(|x| x.databases.clone()).unwrap_or_default();
        Ok(ServiceWanted {
            name: key.to_owned(),
            volumes: container
                .mounts
                .iter()
                .filter(|it| it.kind == engine::MountKind::Volume)
                .map(|it| it.source.clone())
                .collect(),
            networks: container.networks.iter().map(|membership| membership.network.clone()).collect(),
            config_hash: service.config_hash(),
            depends_on: service.depends_on.iter().map(|(name, it)| dependency(name, *it)).collect(),
            databases: match &question {
                Question::Postgres(login) if !databases.is_empty() => Some((login.clone(), databases)),
                _ => None,
            },
            renamed_from: Vec::new(),
            question,
            container,
        })
    }

    /// The container of a service; the fields of the engine's noun in the order of the model's.
    #[expect(clippy::too_many_lines, reason = "a table: one line a key of the model")]
    fn container(&self, key: &str, service: &Service) -> Result<ContainerSpec> {
        // No `..`: a new key of the model must find its place here.
        let Service {
            image,
            build,
            platform,
            pull_policy,
            container_name,
            hostname,
            domainname,
            entrypoint,
            command,
            working_dir,
            user,
            group_add,
            environment,
            env_file,
            ports,
            expose,
            networks,
            network_mode,
            extra_hosts,
            dns,
            dns_search,
            dns_opt,
            volumes,
            tmpfs,
            shm_size,
            read_only,
            depends_on: _,
            healthcheck,
            restart,
            init,
            tty,
            stdin_open,
            stop_signal,
            stop_grace_period,
            mem_limit,
            mem_reservation,
            memswap_limit,
            mem_swappiness,
            cpus,
            cpu_shares,
            cpuset,
            pids_limit,
            oom_kill_disable,
            oom_score_adj,
            ulimits,
            sysctls,
            cap_add,
            cap_drop,
            security_opt,
            privileged,
            devices,
            ipc,
            pid,
            userns_mode,
            runtime,
            logging,
            labels: own_labels,
            annotations,
            profiles,
            x_sandbox: _,
        } = service;
        let refused = [
            ("build", build.is_some()),
            ("pull_policy", pull_policy.is_some()),
            ("env_file", !env_file.is_empty()),
            ("mem_swappiness", mem_swappiness.is_some()),
            ("oom_kill_disable", oom_kill_disable.is_some()),
            ("annotations", !annotations.is_empty()),
            ("profiles", !profiles.is_empty()),
            ("tmpfs", !tmpfs.is_empty()),
            ("privileged", privileged.unwrap_or(false)),
            ("devices", !devices.is_empty()),
            ("network_mode", network_mode.is_some()),
            ("ipc", ipc.is_some()),
            ("pid", pid.is_some()),
        ];
        if let Some((field, _)) = refused.into_iter().find(|(_, present)| *present) {
            return Err(unsupported(&format!("services.{key}.{field}")));
        }
        let image = image.clone().ok_or_else(|| unsupported(&format!("services.{key} without an image")))?;
        Ok(ContainerSpec {
            name: container_name.clone().unwrap_or_else(|| self.record.claim.names.container(key)),
            image,
            platform: platform.clone(),
            hostname: hostname.clone(),
            domainname: domainname.clone(),
            entrypoint: entrypoint.clone(),
            command: command.clone(),
            working_dir: working_dir.clone(),
            user: user.clone(),
            group_add: group_add.clone(),
            env: environment
                .iter()
                .filter(|(_, value)| value.is_some())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            ports: ports.iter().map(|it| port(key, it)).collect::<Result<_>>()?,
            expose: expose.clone(),
            networks: networks.iter().map(|(name, it)| self.membership(key, name, it)).collect(),
            network_mode: None,
            extra_hosts: extra_hosts
                .iter()
                .flat_map(|(host, them)| them.iter().map(move |it| format!("{host}:{it}")))
                .collect(),
            dns: dns.clone(),
            dns_search: dns_search.clone(),
            dns_opt: dns_opt.clone(),
            mounts: volumes.iter().map(|mount| self.mount(key, mount)).collect::<Result<_>>()?,
            shm_size_bytes: shm_size.map(signed),
            read_only: read_only.unwrap_or(false),
            healthcheck: healthcheck.as_ref().map(health),
            restart: restart.map_or(engine::Restart::No, restart_policy),
            init: *init,
            tty: tty.unwrap_or(false),
            stdin_open: stdin_open.unwrap_or(false),
            stop_signal: stop_signal.clone(),
            stop_timeout_s: stop_grace_period.map(|period| signed(period.as_secs().max(1))),
            memory_bytes: mem_limit.map(signed),
            memory_reservation_bytes: mem_reservation.map(signed),
            memory_swap_bytes: *memswap_limit,
            nano_cpus: cpus.map(signed),
            cpu_shares: cpu_shares.map(i64::from),
            cpuset: cpuset.clone(),
            pids_limit: *pids_limit,
            oom_score_adj: oom_score_adj.map(i64::from),
            ulimits: ulimits
                .iter()
                .map(|(name, it)| engine::Ulimit { name: name.clone(), soft: it.soft, hard: it.hard })
                .collect(),
            sysctls: sysctls.clone(),
            cap_add: cap_add.clone(),
            cap_drop: cap_drop.clone(),
            security_opt: security_opt.clone(),
            privileged: false,
            devices: Vec::new(),
            device_cgroup_rules: Vec::new(),
            userns_mode: userns_mode.clone(),
            pid_mode: None,
            ipc_mode: None,
            runtime: runtime.clone(),
            log: logging.as_ref().map(|it| engine::LogDriver {
                driver: it.driver.clone().unwrap_or_default(),
                options: it.options.clone(),
            }),
            labels: self.container_labels(key, service, own_labels),
        })
    }

    fn container_labels(
        &self,
        key: &str,
        service: &Service,
        own: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let project = self.record.claim.names.project.as_str();
        let depends_on: Vec<String> = service
            .depends_on
            .iter()
            .map(|(name, it)| format!("{name}:{}:{}", condition(it.condition), it.restart))
            .collect();
        let hash = service.config_hash();
        let file = self.worktree.join(COMPOSE_FILE).display().to_string();
        let directory = self.worktree.display().to_string();
        let fixed = [
            (labels::compose::PROJECT, project),
            (labels::compose::SERVICE, key),
            (labels::compose::CONTAINER_NUMBER, "1"),
            (labels::compose::ONEOFF, "False"),
            (labels::compose::DEPENDS_ON, &depends_on.join(",")),
            (labels::compose::CONFIG_HASH, &hash),
            (labels::compose::CONFIG_FILES, &file),
            (labels::compose::WORKING_DIR, &directory),
        ];
        with(own, &fixed)
    }

    fn membership(&self, service: &str, network: &str, attachment: &compose::Attachment) -> Membership {
        let mut aliases = vec![service.to_owned()];
        aliases.extend(attachment.aliases.iter().cloned());
        Membership {
            network: self.network_name(network),
            aliases,
            ipv4_address: attachment.ipv4_address.map(|address| address.to_string()),
        }
    }

    fn network_name(&self, key: &str) -> String {
        let project = &self.record.claim.names.project;
        self.project.networks.get(key).map_or_else(|| key.to_owned(), |network| network.full_name(project, key))
    }

    fn mount(&self, key: &str, mount: &compose::Mount) -> Result<MountSpec> {
        let spec = MountSpec { target: mount.target.clone(), read_only: mount.read_only, ..MountSpec::default() };
        let project = &self.record.claim.names.project;
        Ok(match &mount.kind {
            MountKind::Volume { source: Some(source), nocopy } => {
                let volume = self.project.volumes.get(source);
                let own = volume.filter(|volume| !volume.external).map(|volume| volume_spec(source, volume, project));
                MountSpec {
                    kind: engine::MountKind::Volume,
                    source: volume.map_or_else(|| source.clone(), |it| it.full_name(project, source)),
                    volume_labels: own.map(|volume| volume.labels).unwrap_or_default(),
                    nocopy: *nocopy,
                    ..spec
                }
            }
            MountKind::Tmpfs { size_bytes, mode } => MountSpec {
                kind: engine::MountKind::Tmpfs,
                tmpfs_size_bytes: size_bytes.map(signed),
                tmpfs_mode: mode.map(i64::from),
                ..spec
            },
            // A host's path needs the user's consent, an anonymous volume would be found by nobody.
            MountKind::Volume { source: None, .. } => {
                return Err(unsupported(&format!("services.{key}.volumes: an anonymous volume")));
            }
            MountKind::Bind { .. } => return Err(unsupported(&format!("services.{key}.volumes: a path of the host"))),
        })
    }

    fn question(&self, key: &str, service: &Service) -> Result<Question> {
        let awaited_end =
            |other: &Service| other.depends_on.get(key).is_some_and(|it| it.condition == Condition::Completed);
        Ok(match service.x_sandbox.as_ref().and_then(|x| x.ready) {
            Some(Probe::Postgres) => Question::Postgres(self.login(key, service, 5432)?),
            Some(Probe::Redis) => Question::Redis(self.login(key, service, 6379)?),
            None if self.project.services.values().any(awaited_end) => Question::Ended,
            None if service.healthcheck.as_ref().is_some_and(|check| !check.is_disabled()) => Question::Health,
            None => Question::Running,
        })
    }

    fn login(&self, key: &str, service: &Service, target: u16) -> Result<Login> {
        let port = service.ports.iter().find(|port| port.target == target).and_then(|port| port.published);
        let port = port.ok_or_else(|| {
            Error::new(Kind::Config, format!("services.{key} says x-sandbox.ready but does not publish port {target}"))
                .hint(format!("add `127.0.0.1:PORT:{target}` to its ports, or leave x-sandbox.ready out"))
        })?;
        Ok(Login {
            address: SocketAddr::new(LOOPBACK, port.first),
            user: POSTGRES_USER.into(),
            password: Secret(self.record.password.clone()),
        })
    }
}

/// Where ports are published that do not say where.
pub(super) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn port(key: &str, port: &compose::Port) -> Result<engine::Port> {
    let no_host_port = || unsupported(&format!("services.{key}.ports: a port without a host port"));
    Ok(engine::Port {
        host_ip: port.host_ip.unwrap_or(LOOPBACK),
        host_port: port.published.ok_or_else(no_host_port)?.first,
        target: port.target,
        protocol: match port.protocol {
            compose::Protocol::Tcp => engine::Protocol::Tcp,
            compose::Protocol::Udp => engine::Protocol::Udp,
            compose::Protocol::Sctp => engine::Protocol::Sctp,
        },
    })
}

fn dependency(service: &str, dependency: compose::Dependency) -> Dependency {
    Dependency { service: service.to_owned(), ready: dependency.condition != Condition::Started }
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "service_started",
        Condition::Healthy => "service_healthy",
        Condition::Completed => "service_completed_successfully",
    }
}

fn health(check: &compose::Healthcheck) -> engine::Healthcheck {
    let test = match check.test.as_deref() {
        None | Some([]) => HealthTest::Inherit,
        Some([kind, ..]) if kind == "NONE" => HealthTest::Disabled,
        Some([kind, line]) if kind == "CMD-SHELL" => HealthTest::Shell(line.clone()),
        Some([_, words @ ..]) => HealthTest::Command(words.to_vec()),
    };
    let nanoseconds = |duration: Option<Duration>| duration.map(|it| i64::try_from(it.as_nanos()).unwrap_or(i64::MAX));
    engine::Healthcheck {
        test,
        interval_ns: nanoseconds(check.interval),
        timeout_ns: nanoseconds(check.timeout),
        start_period_ns: nanoseconds(check.start_period),
        start_interval_ns: nanoseconds(check.start_interval),
        retries: check.retries.map(i64::from),
    }
}

fn restart_policy(restart: compose::Restart) -> engine::Restart {
    match restart {
        compose::Restart::No => engine::Restart::No,
        compose::Restart::Always => engine::Restart::Always,
        compose::Restart::UnlessStopped => engine::Restart::UnlessStopped,
        compose::Restart::OnFailure(times) => engine::Restart::OnFailure(times.map(i64::from)),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsupported(what: &str) -> Error {
    Error::new(Kind::Config, format!("{what} is not supported yet"))
        .hint("take it out of the Compose file, or run that part with `docker compose` itself")
}
