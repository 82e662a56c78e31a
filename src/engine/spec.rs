//! What a container is to be, in our own words.
//!
//! Plain values that can be compared and hashed by whoever plans; how the engine wants them is `create`'s business.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use super::container::{MountKind, Protocol};

/// A container to be made. Whatever is empty or `None` is the image's or the engine's own default.
#[derive(Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the engine's own switches, independent of each other")]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// The image, by reference or id.
    pub image: String,
    /// The arguments after the entrypoint.
    pub command: Option<Vec<String>>,
    /// The program that is started; an empty list takes the image's away.
    pub entrypoint: Option<Vec<String>>,
    /// The environment, in order. `None` takes a variable of the image's away.
    pub env: Vec<(String, Option<String>)>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The ports it publishes.
    pub ports: Vec<Port>,
    /// Ports that other containers may use; only documentation, as in Compose: `9000`, `53/udp`.
    pub expose: Vec<String>,
    /// What is mounted into it.
    pub mounts: Vec<MountSpec>,
    /// The networks it joins. None at all means the engine's default bridge, unless `network_mode` says otherwise.
    pub networks: Vec<Membership>,
    /// `none`, `host`, `container:ID`: instead of networks.
    pub network_mode: Option<String>,
    /// How its health is checked.
    pub healthcheck: Option<Healthcheck>,
    /// `user`, `uid:gid`.
    pub user: Option<String>,
    /// The directory in which its process starts.
    pub working_dir: Option<String>,
    /// The host name it sees.
    pub hostname: Option<String>,
    /// The domain name it sees.
    pub domainname: Option<String>,
    /// What the engine does when its process ends.
    pub restart: Restart,
    /// Whether the engine's own init reaps its zombies.
    pub init: Option<bool>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open.
    pub stdin_open: bool,
    /// Whether its root file system cannot be written.
    pub read_only: bool,
    /// Whether it may do everything that root on the host may.
    pub privileged: bool,
    /// The signal that asks it to stop.
    pub stop_signal: Option<String>,
    /// How long it may take to stop, in seconds, where a stop names no time of its own.
    pub stop_timeout_s: Option<i64>,
    /// The size of `/dev/shm`, in bytes.
    pub shm_size_bytes: Option<i64>,
    /// The most memory it may use, in bytes.
    pub memory_bytes: Option<i64>,
    /// The memory it keeps when memory runs short, in bytes.
    pub memory_reservation_bytes: Option<i64>,
    /// Memory and swap together, in bytes; -1 is no limit.
    pub memory_swap_bytes: Option<i64>,
    /// The most processor time, in billionths of one processor.
    pub nano_cpus: Option<i64>,
    /// Its weight when processors are short; 1024 is usual.
    pub cpu_shares: Option<i64>,
    /// The processors it may run on, as `0-2,4`.
    pub cpuset: Option<String>,
    /// The most processes it may have; -1 is no limit.
    pub pids_limit: Option<i64>,
    /// Limits of the kernel's for each process.
    pub ulimits: Vec<Ulimit>,
    /// Capabilities beyond the engine's usual ones.
    pub cap_add: Vec<String>,
    /// Capabilities less than the engine's usual ones.
    pub cap_drop: Vec<String>,
    /// Security options, as `no-new-privileges:true`.
    pub security_opt: Vec<String>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Device rules, as `b 7:* rwm`.
    pub device_cgroup_rules: Vec<String>,
    /// Devices, as `/dev/host:/dev/container:rwm`.
    pub devices: Vec<String>,
    /// Host names beyond DNS, as `name:address`.
    pub extra_hosts: Vec<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Domains in which short names are looked up.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_opt: Vec<String>,
    /// Further groups of its user.
    pub group_add: Vec<String>,
    /// Where its output goes.
    pub log: Option<LogDriver>,
    /// `host` leaves the engine's user namespace.
    pub userns_mode: Option<String>,
    /// `host`, `container:ID`.
    pub pid_mode: Option<String>,
    /// `host`, `shareable`, `container:ID`.
    pub ipc_mode: Option<String>,
    /// How readily the kernel kills it for want of memory, -1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// `linux/amd64`, where it is not the engine's own.
    pub platform: Option<String>,
    /// The runtime, where it is not the engine's usual one.
    pub runtime: Option<String>,
}

/// A port to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The host's address. There is no default: what is published everywhere says so.
    pub host_ip: IpAddr,
    /// The host's port; 0 lets the engine choose.
    pub host_port: u16,
    /// The container's port.
    pub target: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
}

/// Without the environment, which holds passwords.
impl fmt::Debug for ContainerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ContainerSpec { name, image, ports, mounts, networks, .. } = self;
        let mut text = f.debug_struct("ContainerSpec");
        text.field("name", name).field("image", image).field("ports", ports).field("mounts", mounts);
        text.field("networks", networks).finish_non_exhaustive()
    }
}

/// Something to be mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountSpec {
    /// What sort of thing.
    pub kind: MountKind,
    /// The volume's name or the host's path; empty for memory, and for a volume without a name.
    pub source: String,
    /// Where it is mounted.
    pub target: String,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// The labels of the volume, should it have vanished: the engine then makes another without a word.
    pub volume_labels: BTreeMap<String, String>,
    /// Whether an empty volume stays empty instead of getting what the image has there.
    pub nocopy: bool,
    /// Whether the host's path is made where it is missing.
    pub create_host_path: bool,
    /// How far mounts spread, as `rslave`; for paths of the host.
    pub propagation: Option<String>,
    /// The size, in bytes; for memory.
    pub tmpfs_size_bytes: Option<i64>,
    /// The permissions, as `0o1777`; for memory.
    pub tmpfs_mode: Option<i64>,
}

/// A network to join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Its id, or a name of which there is only one.
    pub network: String,
    /// The names by which the others reach this container.
    pub aliases: Vec<String>,
    /// The address to have in it, where one is asked for.
    pub ipv4_address: Option<String>,
}

/// How health is checked. Times are in nanoseconds, as in the API; `None` is the engine's default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    /// What is run.
    pub test: HealthTest,
    /// Between two checks.
    pub interval_ns: Option<i64>,
    /// For one check.
    pub timeout_ns: Option<i64>,
    /// During which failures do not count.
    pub start_period_ns: Option<i64>,
    /// Between two checks during the start period. Engines before 25 do not know it; it is then left out.
    pub start_interval_ns: Option<i64>,
    /// How many failures in a row make it unhealthy.
    pub retries: Option<i64>,
}

/// What a health check runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthTest {
    /// Nothing; the image's own check is turned off.
    Disabled,
    /// The image's own.
    Inherit,
    /// A program with arguments.
    Command(Vec<String>),
    /// A line for the image's shell.
    Shell(String),
}

/// What the engine does when the process ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    #[default]
    No,
    /// Starts it again, always, also after the engine's own restart.
    Always,
    /// The same, unless it was stopped on purpose.
    UnlessStopped,
    /// Starts it again when it failed, this often at most; `None` is without end.
    OnFailure(Option<i64>),
}

/// A limit of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// Its name, as `nofile`.
    pub name: String,
    /// What a process starts with.
    pub soft: i64,
    /// What it may raise that to.
    pub hard: i64,
}

/// Where output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogDriver {
    /// Its name, as `json-file`.
    pub driver: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
}
