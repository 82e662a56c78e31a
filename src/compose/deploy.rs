//! `deploy`: the part of it that means something on one host, which is its resources.

use super::complaint::Checked;
use super::cursor::Cursor;
use super::size;

/// What `deploy.resources` says; each has a twin among the keys of the service.
#[derive(Default)]
pub(super) struct Resources {
    pub(super) cpus_nano: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) pids: Option<i64>,
    pub(super) reserved_memory_bytes: Option<u64>,
}

pub(super) fn read(cursor: &Cursor) -> Checked<Resources> {
    let mut fields = cursor.fields()?;
    let resources = fields.or_default("resources", read_resources)?;
    fields.read("replicas", |c| match c.integer::<u32>()? {
        1 => Ok(()),
        _ => Err(c.complain("more or fewer than one replica is not supported yet")),
    })?;
    fields.refuse(&["mode", "labels", "placement", "restart_policy", "update_config"])?;
    fields.refuse(&["rollback_config", "endpoint_mode", "job"])?;
    fields.finish()?;
    Ok(resources)
}

fn read_resources(cursor: &Cursor) -> Checked<Resources> {
    let mut fields = cursor.fields()?;
    let mut resources = fields.or_default("limits", read_limits)?;
    resources.reserved_memory_bytes = fields.or_default("reservations", read_reservations)?;
    fields.finish()?;
    Ok(resources)
}

fn read_limits(cursor: &Cursor) -> Checked<Resources> {
    let mut fields = cursor.fields()?;
    let limits = Resources {
        cpus_nano: fields.read("cpus", size::processors)?,
        memory_bytes: fields.read("memory", size::bytes)?,
        pids: fields.read("pids", Cursor::integer)?,
        reserved_memory_bytes: None,
    };
    fields.finish()?;
    Ok(limits)
}

fn read_reservations(cursor: &Cursor) -> Checked<Option<u64>> {
    let mut fields = cursor.fields()?;
    let memory = fields.read("memory", size::bytes)?;
    // Only a swarm can promise processors; one host passes them over, as Compose does.
    fields.read("cpus", size::processors)?;
    fields.refuse(&["devices", "generic_resources"])?;
    fields.finish()?;
    Ok(memory)
}
