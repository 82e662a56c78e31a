//! Going back to the databases that a sandbox had, where others could not be made.

use std::collections::BTreeSet;

use crate::engine::{Container, Engine, Volume, labels};
use crate::error::Result;
use crate::plan::observed::Run;
use crate::record::Record;
use crate::site::Site;

/// What became of databases whose replacement failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// Others are to come in their place.
    No,
    /// They stay, and their servers were not ended.
    Untouched,
    /// They stay, as they were last on the disk.
    OnDisk,
}

/// Goes back to the databases that a sandbox had, or was about to have, after a failure to replace them, while no server can have
/// been given those to come. The caller holds the sandbox, whose record was another before.
pub async fn take_back_data(site: &Site, engine: &Engine, before: &Record) -> Result<Back> {
    let identity = &before.claim.identity;
    let Some(sandbox) = site.find(&identity.task)? else { return Ok(Back::No) };
    // What an earlier run has begun is nothing that this one could take back.
    let begun = sandbox.record.pending.as_ref().filter(|_| sandbox.record.pending != before.pending);
    let Some(pending) = begun else { return Ok(Back::No) };
    let ours = labels::of(identity);
    let (own, containers) = tokio::try_join!(engine.volumes(&ours), engine.containers_looked_at(&ours))?;
    let mounted_by = |which: &dyn Fn(&Container) -> bool| {
        let mounts = containers.iter().filter(|it| which(it)).flat_map(|it| &it.mounts);
        mounts.filter_map(|mount| mount.volume.as_deref()).collect::<BTreeSet<&str>>()
    };
    let (mounted, running) = (mounted_by(&|_| true), mounted_by(&|it| Run::of(it).has_process()));
    let Some((in_vain, back)) = way_back(&pending.replace, &own, &mounted, &running) else { return Ok(Back::No) };
    // The newest is the one that counts, so these go before the record says that nothing is to be replaced.
    for volume in in_vain {
        engine.remove_volume(&volume.name).await?;
    }
    sandbox.record.clone().with_data_of(before).write(&sandbox.worktree.admin_dir)?;
    Ok(back)
}

/// The volumes that came in the place of others in vain, and how these are; which are mounted into containers, and into running ones.
/// None where any of these has gone, or one that came may have been given to a server.
fn way_back<'a>(
    replaced: &BTreeSet<String>,
    own: &'a [Volume],
    mounted: &BTreeSet<&str>,
    running: &BTreeSet<&str>,
) -> Option<(Vec<&'a Volume>, Back)> {
    let is_there = |name: &String| own.iter().any(|volume| volume.name == *name);
    if replaced.is_empty() || !replaced.iter().all(is_there) {
        return None;
    }
    let key = |volume: &'a Volume| volume.labels.get(labels::compose::VOLUME);
    let (old, others): (Vec<&Volume>, Vec<&Volume>) = own.iter().partition(|it| replaced.contains(&it.name));
    let keys: BTreeSet<&String> = old.iter().filter_map(|it| key(it)).collect();
    let new: Vec<&Volume> = others.into_iter().filter(|it| key(it).is_some_and(|key| keys.contains(key))).collect();
    let all_in = |names: &BTreeSet<&str>| {
        keys.iter().all(|its| old.iter().any(|it| key(it) == Some(*its) && names.contains(it.name.as_str())))
    };
    // A server that is given a new one is made once that of the old one is gone.
    let serves = |it: &&Volume| mounted.contains(it.name.as_str());
    let may_serve = new.iter().any(serves) || !new.is_empty() && !all_in(mounted);
    let back = if all_in(running) { Back::Untouched } else { Back::OnDisk };
    (!may_serve).then_some((new, back))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: &str, label: &str, key: &str) -> Volume {
        Volume { name: name.into(), labels: [(label.into(), key.into())].into(), ..Volume::default() }
    }

    #[test]
    fn there_is_a_way_back_while_all_that_was_stands_and_nothing_new_can_serve() {
        let replaced: BTreeSet<String> = ["pg", "redis", "upper"].map(str::to_owned).into();
        let data = |name: &str, key: &str| volume(name, labels::compose::VOLUME, key);
        let old = [data("pg", "pg"), data("redis", "redis"), volume("upper", labels::UPPER, "it")];
        let (both, one): (BTreeSet<&str>, BTreeSet<&str>) = (["pg", "redis"].into(), ["redis"].into());
        let way = |replaced: &BTreeSet<String>, own: &[Volume], mounted: &BTreeSet<&str>, running: &BTreeSet<&str>| {
            way_back(replaced, own, mounted, running).map(|(new, back)| (new.len(), back))
        };
        assert_eq!(way(&BTreeSet::new(), &old, &both, &both), None, "nothing was to be replaced");
        assert_eq!(way(&replaced, &old[..2], &both, &both), None, "a part of it has gone");
        assert_eq!(way(&replaced, &old, &both, &both), Some((0, Back::Untouched)));
        assert_eq!(way(&replaced, &old, &both, &one), Some((0, Back::OnDisk)));
        assert_eq!(way(&replaced, &old, &one, &one), Some((0, Back::OnDisk)));
        // One has been made, and others that come in nobody's place.
        let others = [data("pg.2", "pg"), data("gems", "gems"), volume("upper.2", labels::UPPER, "it")];
        let more = [&old[..], &others].concat();
        assert_eq!(way(&replaced, &more, &both, &both), Some((1, Back::Untouched)));
        assert_eq!(way(&replaced, &more, &both, &one), Some((1, Back::OnDisk)));
        let more_mounted = ["pg", "pg.2", "redis"].into();
        assert_eq!(way(&replaced, &more, &more_mounted, &both), None, "it is given to one");
        assert_eq!(way(&replaced, &more, &one, &one), None, "a server of the new one may be about to be made");
    }
}
