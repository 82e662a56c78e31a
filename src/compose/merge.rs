//! Later over earlier, by the rules of the Compose specification: mappings are merged, lists are appended to, what has a
//! key of its own (a port, a mount) is replaced by it, and a command is replaced whole.

use std::collections::BTreeMap;
use std::hash::Hash;

use super::build::Build;
use super::extension::Extension;
use super::healthcheck::Healthcheck;
use super::lists::unique;
use super::logging::Logging;
use super::mount::Mount;
use super::network::{Attachment, Ipam, Network, Subnet};
use super::port::Port;
use super::project::Project;
use super::service::Service;
use super::volume::Volume;

/// Merges a value field by field. Every field must be in one of the four lists, or this does not compile.
macro_rules! layer {
    ($base:expr, $over:expr, $type:ident {
        replace: [$($replace:ident),* $(,)?],
        append: [$($append:ident),* $(,)?],
        extend: [$($extend:ident),* $(,)?],
        by: [$($field:ident with $merge:expr),* $(,)?] $(,)?
    }) => {{
        let base = $base;
        let $type { $($replace,)* $($append,)* $($extend,)* $($field,)* } = $over;
        $(replace(&mut base.$replace, $replace);)*
        $(append(&mut base.$append, $append);)*
        $(base.$extend.extend($extend);)*
        $($merge(&mut base.$field, $field);)*
    }};
}

impl Project {
    /// Puts a later layer over this one.
    pub(super) fn layer(&mut self, over: Project) {
        layer!(self, over, Project {
            replace: [name],
            append: [],
            extend: [],
            by: [
                services with |base: &mut _, over| each(base, over, layer_service),
                networks with |base: &mut _, over| each(base, over, layer_network),
                volumes with |base: &mut _, over| each(base, over, layer_volume),
            ],
        });
    }
}

fn layer_service(base: &mut Service, over: Service) {
    layer!(base, over, Service {
        replace: [image, platform, pull_policy, container_name, hostname, domainname, entrypoint, command, working_dir, user, network_mode, shm_size, read_only, restart, init, tty, stdin_open, stop_signal, stop_grace_period, mem_limit, mem_reservation, memswap_limit, mem_swappiness, cpus, cpu_shares, cpuset, pids_limit, oom_kill_disable, oom_score_adj, privileged, ipc, pid, userns_mode, runtime],
        append: [group_add, env_file, expose, dns, dns_search, dns_opt, tmpfs, cap_add, cap_drop, security_opt, devices, profiles],
        extend: [environment, depends_on, ulimits, sysctls, labels, annotations],
        by: [
            build with |base: &mut _, over| inside(base, over, layer_build),
            healthcheck with |base: &mut _, over| inside(base, over, layer_healthcheck),
            logging with |base: &mut _, over| inside(base, over, layer_logging),
            x_sandbox with |base: &mut _, over| inside(base, over, layer_extension),
            networks with |base: &mut _, over| each(base, over, layer_attachment),
            extra_hosts with |base: &mut _, over| each(base, over, append),
            ports with |base: &mut _, over| keyed(base, over, Port::same_as),
            volumes with |base: &mut _, over| keyed(base, over, |a: &Mount, b: &Mount| a.target == b.target),
        ],
    });
}

fn layer_build(base: &mut Build, over: Build) {
    layer!(
        base,
        over,
        Build {
            replace: [context, dockerfile, dockerfile_inline, target, network],
            append: [],
            extend: [args, labels],
            by: [],
        }
    );
}

fn layer_healthcheck(base: &mut Healthcheck, over: Healthcheck) {
    layer!(
        base,
        over,
        Healthcheck {
            replace: [test, interval, timeout, retries, start_period, start_interval],
            append: [],
            extend: [],
            by: [],
        }
    );
}

/// Options belong to a driver: another driver leaves them behind.
fn layer_logging(base: &mut Logging, over: Logging) {
    if over.driver.is_some() && base.driver.is_some() && over.driver != base.driver {
        *base = over;
        return;
    }
    layer!(base, over, Logging { replace: [driver], append: [], extend: [options], by: [] });
}

fn layer_extension(base: &mut Extension, over: Extension) {
    layer!(base, over, Extension { replace: [ready], append: [databases], extend: [], by: [] });
}

fn layer_attachment(base: &mut Attachment, over: Attachment) {
    layer!(
        base,
        over,
        Attachment {
            replace: [ipv4_address, ipv6_address, mac_address, priority],
            append: [aliases],
            extend: [driver_opts],
            by: [],
        }
    );
}

fn layer_network(base: &mut Network, over: Network) {
    layer!(base, over, Network {
        replace: [name, driver, attachable, enable_ipv4, enable_ipv6, internal],
        append: [],
        extend: [driver_opts, labels],
        by: [
            external with |base: &mut bool, over| *base |= over,
            ipam with |base: &mut _, over| inside(base, over, layer_ipam),
        ],
    });
}

fn layer_ipam(base: &mut Ipam, over: Ipam) {
    layer!(base, over, Ipam {
        replace: [driver],
        append: [],
        extend: [options],
        by: [config with |base: &mut _, over| keyed(base, over, |a: &Subnet, b: &Subnet| a.subnet == b.subnet)],
    });
}

fn layer_volume(base: &mut Volume, over: Volume) {
    layer!(base, over, Volume {
        replace: [name, driver],
        append: [],
        extend: [driver_opts, labels],
        by: [external with |base: &mut bool, over| *base |= over],
    });
}

fn replace<T>(base: &mut Option<T>, over: Option<T>) {
    if over.is_some() {
        *base = over;
    }
}

fn append<T: Clone + Eq + Hash>(base: &mut Vec<T>, over: Vec<T>) {
    let mut all = std::mem::take(base);
    all.extend(over);
    *base = unique(all);
}

fn inside<T>(base: &mut Option<T>, over: Option<T>, merge: fn(&mut T, T)) {
    match (base.as_mut(), over) {
        (Some(base), Some(over)) => merge(base, over),
        (None, over) => *base = over,
        (Some(_), None) => {}
    }
}

fn each<T: Default>(base: &mut BTreeMap<String, T>, over: BTreeMap<String, T>, merge: fn(&mut T, T)) {
    for (key, value) in over {
        match base.get_mut(&key) {
            Some(base) => merge(base, value),
            None => drop(base.insert(key, value)),
        }
    }
}

fn keyed<T>(base: &mut Vec<T>, over: Vec<T>, same: fn(&T, &T) -> bool) {
    for item in over {
        match base.iter_mut().find(|known| same(known, &item)) {
            Some(known) => *known = item,
            None => base.push(item),
        }
    }
}
