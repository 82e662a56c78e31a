//! A service: every key that can be obeyed, the names of those that cannot be yet.
//!
//! The long functions here are tables.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::build::{self, Build};
use super::complaint::Checked;
use super::cursor::{Cursor, Fields};
use super::deploy::{self, Resources};
use super::env_file::{self, EnvFile};
use super::extension::{self, Extension};
use super::healthcheck::{self, Healthcheck};
use super::logging::{self, Logging};
use super::mount::{self, Mount};
use super::network::{self, Attachment};
use super::port::{self, Port};
use super::relation::{self, Dependency};
use super::restart::{self, Restart};
use super::ulimit::{self, Ulimit};
use super::{duration, lists, pairs, size, words};

/// A service. What is none or empty is the image's, or the engine's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Service {
    /// The image; with `build`, the name that the result gets.
    pub image: Option<String>,
    /// How the image is built.
    pub build: Option<Build>,
    /// The platform of the image: `linux/amd64`.
    pub platform: Option<String>,
    /// When the image is fetched: `always`, `missing`, ….
    pub pull_policy: Option<String>,
    /// The container's name, instead of one made from the project's.
    pub container_name: Option<String>,
    /// The host name inside.
    pub hostname: Option<String>,
    /// The domain name inside.
    pub domainname: Option<String>,
    /// What the container starts; an empty one takes away the image's.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments of what the container starts; an empty one takes away the image's.
    pub command: Option<Vec<String>>,
    /// The directory it starts in.
    pub working_dir: Option<String>,
    /// The user, and group, it starts as.
    pub user: Option<String>,
    /// Further groups of that user.
    pub group_add: Vec<String>,
    /// Variables inside. One without a value was unset where the project was loaded, and is the image's.
    pub environment: BTreeMap<String, Option<String>>,
    /// Files of further variables, which the caller must read.
    pub env_file: Vec<EnvFile>,
    /// Ports that the host answers for.
    pub ports: Vec<Port>,
    /// Ports that only other services reach.
    pub expose: Vec<String>,
    /// The networks it takes part in.
    pub networks: BTreeMap<String, Attachment>,
    /// Instead of networks: `none`, `host`, `service:NAME`, `container:NAME`.
    pub network_mode: Option<String>,
    /// Hosts and their addresses, as in `/etc/hosts`.
    pub extra_hosts: BTreeMap<String, Vec<String>>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Domains to look names up in.
    pub dns_search: Vec<String>,
    /// Options of name resolution.
    pub dns_opt: Vec<String>,
    /// What is mounted.
    pub volumes: Vec<Mount>,
    /// Paths held in memory, `PATH[:OPTIONS]`.
    pub tmpfs: Vec<String>,
    /// The size of `/dev/shm`, in bytes.
    pub shm_size: Option<u64>,
    /// Whether the container's own file system is read-only.
    pub read_only: Option<bool>,
    /// The services it waits for.
    pub depends_on: BTreeMap<String, Dependency>,
    /// How the engine asks whether it is well.
    pub healthcheck: Option<Healthcheck>,
    /// When the engine starts it again.
    pub restart: Option<Restart>,
    /// Whether a small init reaps processes inside.
    pub init: Option<bool>,
    /// Whether it has a terminal.
    pub tty: Option<bool>,
    /// Whether its standard input stays open.
    pub stdin_open: Option<bool>,
    /// The signal that asks it to end.
    pub stop_signal: Option<String>,
    /// How long it may take to end.
    #[serde(serialize_with = "duration::serialize")]
    pub stop_grace_period: Option<Duration>,
    /// The most memory, in bytes.
    pub mem_limit: Option<u64>,
    /// The memory it keeps when memory is short, in bytes.
    pub mem_reservation: Option<u64>,
    /// The most memory and swap together, in bytes; -1 is no limit.
    pub memswap_limit: Option<i64>,
    /// How willingly its memory is swapped out, 0 to 100.
    pub mem_swappiness: Option<u32>,
    /// The most processors, in billionths of one.
    #[serde(serialize_with = "size::serialize_processors")]
    pub cpus: Option<u64>,
    /// Its weight when processors are short.
    pub cpu_shares: Option<u32>,
    /// The processors it may use: `0-3`, `0,2`.
    pub cpuset: Option<String>,
    /// The most processes; -1 is no limit.
    pub pids_limit: Option<i64>,
    /// Whether it is spared when memory runs out.
    pub oom_kill_disable: Option<bool>,
    /// How willingly it is ended when memory runs out, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Limits of its processes.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Kernel settings inside.
    pub sysctls: BTreeMap<String, String>,
    /// Capabilities given.
    pub cap_add: Vec<String>,
    /// Capabilities taken.
    pub cap_drop: Vec<String>,
    /// Options of the kernel's security modules.
    pub security_opt: Vec<String>,
    /// Whether it has all of the host's powers.
    pub privileged: Option<bool>,
    /// Devices of the host, `HOST[:CONTAINER[:RIGHTS]]`.
    pub devices: Vec<String>,
    /// Whose memory it shares: `host`, `service:NAME`, ….
    pub ipc: Option<String>,
    /// Whose processes it sees: `host`, `service:NAME`, ….
    pub pid: Option<String>,
    /// Whose user ids it has: `host`.
    pub userns_mode: Option<String>,
    /// The runtime that runs it.
    pub runtime: Option<String>,
    /// Where its output goes.
    pub logging: Option<Logging>,
    /// Labels of the container.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the runtime.
    pub annotations: BTreeMap<String, String>,
    /// The profiles that bring it in; none is every one.
    pub profiles: Vec<String>,
    /// What only we understand.
    #[serde(rename = "x-sandbox")]
    pub x_sandbox: Option<Extension>,
}

/// Keys that Compose knows and we cannot obey yet.
const UNSUPPORTED: [&str; 28] = [
    "blkio_config",
    "cgroup",
    "cgroup_parent",
    "configs",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "credential_spec",
    "device_cgroup_rules",
    "extends",
    "external_links",
    "gpus",
    "isolation",
    "label_file",
    "links",
    "mac_address",
    "models",
    "post_start",
    "pre_stop",
    "provider",
    "secrets",
    "storage_opt",
    "use_api_socket",
    "uts",
    "volumes_from",
];

/// Keys that speak to other verbs than bringing a stack up in the background, and mean nothing to this one.
const OTHER_VERBS: [&str; 2] = ["attach", "develop"];

pub(super) fn read(cursor: &Cursor) -> Checked<Service> {
    let mut fields = cursor.fields()?;
    let mut service = Service {
        image: fields.read("image", Cursor::text)?,
        build: fields.read("build", build::read)?,
        platform: fields.read("platform", Cursor::text)?,
        pull_policy: fields.read("pull_policy", pull_policy)?,
        container_name: fields.read("container_name", Cursor::text)?,
        hostname: fields.read("hostname", Cursor::text)?,
        domainname: fields.read("domainname", Cursor::text)?,
        entrypoint: fields.read("entrypoint", words::read)?,
        command: fields.read("command", words::read)?,
        working_dir: fields.read("working_dir", Cursor::text)?,
        user: fields.read("user", Cursor::number_or_text)?,
        group_add: fields.or_default("group_add", lists::scalars)?,
        environment: fields.or_default("environment", pairs::optional)?,
        env_file: fields.or_default("env_file", env_file::read_all)?,
        ports: fields.or_default("ports", port::read_all)?,
        expose: fields.or_default("expose", lists::scalars)?,
        networks: fields.or_default("networks", network::read_attachments)?,
        network_mode: fields.read("network_mode", Cursor::text)?,
        extra_hosts: fields.or_default("extra_hosts", pairs::hosts)?,
        dns: fields.or_default("dns", lists::text_or_texts)?,
        dns_search: fields.or_default("dns_search", lists::text_or_texts)?,
        dns_opt: fields.or_default("dns_opt", lists::set)?,
        volumes: fields.or_default("volumes", mount::read_all)?,
        tmpfs: fields.or_default("tmpfs", lists::text_or_texts)?,
        shm_size: fields.read("shm_size", size::bytes)?,
        read_only: fields.read("read_only", Cursor::flag)?,
        depends_on: fields.or_default("depends_on", relation::read_all)?,
        healthcheck: fields.read("healthcheck", healthcheck::read)?,
        restart: fields.read("restart", restart::read)?,
        init: fields.read("init", Cursor::flag)?,
        tty: fields.read("tty", Cursor::flag)?,
        stdin_open: fields.read("stdin_open", Cursor::flag)?,
        stop_signal: fields.read("stop_signal", Cursor::text)?,
        stop_grace_period: fields.read("stop_grace_period", duration::read)?,
        mem_limit: fields.read("mem_limit", size::bytes)?,
        mem_reservation: fields.read("mem_reservation", size::bytes)?,
        memswap_limit: fields.read("memswap_limit", size::bytes_or_unlimited)?,
        mem_swappiness: fields.read("mem_swappiness", Cursor::integer)?,
        cpus: fields.read("cpus", size::processors)?,
        cpu_shares: fields.read("cpu_shares", Cursor::integer)?,
        cpuset: fields.read("cpuset", Cursor::number_or_text)?,
        pids_limit: fields.read("pids_limit", Cursor::integer)?,
        oom_kill_disable: fields.read("oom_kill_disable", Cursor::flag)?,
        oom_score_adj: fields.read("oom_score_adj", Cursor::integer)?,
        ulimits: fields.or_default("ulimits", ulimits)?,
        sysctls: fields.or_default("sysctls", pairs::plain)?,
        cap_add: fields.or_default("cap_add", lists::set)?,
        cap_drop: fields.or_default("cap_drop", lists::set)?,
        security_opt: fields.or_default("security_opt", lists::set)?,
        privileged: fields.read("privileged", Cursor::flag)?,
        devices: fields.or_default("devices", lists::set)?,
        ipc: fields.read("ipc", Cursor::text)?,
        pid: fields.read("pid", Cursor::text)?,
        userns_mode: fields.read("userns_mode", Cursor::text)?,
        runtime: fields.read("runtime", Cursor::text)?,
        logging: fields.read("logging", logging::read)?,
        labels: fields.or_default("labels", pairs::plain)?,
        annotations: fields.or_default("annotations", pairs::plain)?,
        profiles: fields.or_default("profiles", lists::set)?,
        x_sandbox: fields.read("x-sandbox", extension::read)?,
    };
    if let Some(deploy) = fields.take("deploy") {
        take_resources(&mut service, &deploy::read(&deploy)?, &deploy)?;
    }
    one_container(&mut fields)?;
    fields.refuse(&UNSUPPORTED)?;
    fields.ignore(&OTHER_VERBS);
    fields.finish()?;
    Ok(service)
}

fn one_container(fields: &mut Fields) -> Checked<()> {
    fields.read("scale", |c| match c.integer::<u32>()? {
        1 => Ok(()),
        _ => Err(c.complain("more or fewer than one container is not supported yet")),
    })?;
    Ok(())
}

/// Compose has two keys for each; they may not disagree.
fn take_resources(service: &mut Service, resources: &Resources, deploy: &Cursor) -> Checked<()> {
    let agreed = settle(&mut service.cpus, resources.cpus_nano)
        && settle(&mut service.mem_limit, resources.memory_bytes)
        && settle(&mut service.mem_reservation, resources.reserved_memory_bytes)
        && settle(&mut service.pids_limit, resources.pids);
    if agreed { Ok(()) } else { Err(deploy.complain("its resources contradict the service's own limits")) }
}

fn settle<T: PartialEq + Copy>(own: &mut Option<T>, deployed: Option<T>) -> bool {
    let agreed = own.is_none() || deployed.is_none() || *own == deployed;
    *own = own.or(deployed);
    agreed
}

fn ulimits(cursor: &Cursor) -> Checked<BTreeMap<String, Ulimit>> {
    let read = |(name, limit): (&str, Cursor)| Ok((name.to_owned(), ulimit::read(&limit)?));
    cursor.entries()?.into_iter().map(read).collect()
}

fn pull_policy(cursor: &Cursor) -> Checked<String> {
    let text = cursor.text()?;
    match text.as_str() {
        "always" | "never" | "missing" | "if_not_present" | "build" | "daily" | "weekly" => Ok(text),
        every if every.starts_with("every_") => Ok(text),
        _ => Err(cursor.complain(format!("{text:?} is no pull policy"))),
    }
}
