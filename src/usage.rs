//! What sandboxes use: processors, memory and disk, the latter alone or together with others.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use serde::Serialize;

use crate::engine::{Engine, Stats, Volume, labels};
use crate::error::Result;
use crate::overview::View;
use crate::site::Site;
use crate::snapshot::Clone;
use crate::world::Real;

/// How many containers are asked at one time.
const AT_ONCE: usize = 32;

/// What one sandbox uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// The share of one processor that it had while it was looked at, in percent.
    pub cpu_percent: f64,
    /// The memory of its containers, in bytes.
    pub memory_bytes: u64,
    /// What it alone has on the disk, in bytes: what its databases have written.
    pub disk_own_bytes: u64,
    /// What its databases stand on, in bytes: others may too.
    pub disk_shared_bytes: u64,
}

/// What sandboxes use, by their tasks. Disks are counted between the two looks at processors.
pub async fn of(site: &Site, engine: &Engine, views: &[View]) -> Result<BTreeMap<String, Usage>> {
    let first = sample(engine, views).await?;
    let disks = disks(site, engine).await?;
    let second = sample(engine, views).await?;
    let of_view = |view: &View| {
        let mut usage = disks.get(&view.task).cloned().unwrap_or_default();
        for service in &view.services {
            let Some(now) = second.get(&service.id) else { continue };
            usage.memory_bytes += now.memory_bytes;
            usage.cpu_percent += first.get(&service.id).map_or(0.0, |before| percent(before, now));
        }
        (view.task.clone(), usage)
    };
    Ok(views.iter().map(of_view).collect())
}

#[expect(clippy::cast_precision_loss, reason = "a share that is shown with one digit")]
fn percent(before: &Stats, now: &Stats) -> f64 {
    let passed = now.at.duration_since(before.at).as_nanos() as f64;
    let worked = now.cpu_ns.saturating_sub(before.cpu_ns) as f64;
    if passed > 0.0 { (worked / passed * 1000.0).round() / 10.0 } else { 0.0 }
}

async fn sample(engine: &Engine, views: &[View]) -> Result<BTreeMap<String, Stats>> {
    let running = views.iter().flat_map(|view| &view.services).filter(|service| service.running);
    let asked = futures::stream::iter(running)
        .map(async |service| Ok::<_, crate::error::Error>((service.id.clone(), engine.stats(&service.id).await?)))
        .buffer_unordered(AT_ONCE);
    let answers: Vec<Result<(String, Option<Stats>)>> = asked.collect().await;
    let answers: Vec<(String, Option<Stats>)> = answers.into_iter().collect::<Result<_>>()?;
    Ok(answers.into_iter().filter_map(|(id, stats)| Some((id, stats?))).collect())
}

/// What the volumes of the repository's sandboxes take.
async fn disks(site: &Site, engine: &Engine) -> Result<BTreeMap<String, Usage>> {
    let repos = site.repo_identities()?;
    let volumes = engine.volumes(&[(labels::TASK, None)]).await?;
    let is_own = |volume: &&Volume| volume.labels.get(labels::REPO).is_some_and(|repo| repos.contains(repo));
    let own: Vec<(&String, Option<Clone>, &Volume)> = volumes
        .iter()
        .filter(is_own)
        .filter_map(|volume| Some((volume.labels.get(labels::TASK)?, Clone::of(volume), volume)))
        .collect();
    let mut counted = BTreeSet::new();
    for (_, clone, volume) in &own {
        match clone {
            Some(clone) => counted.extend(clone.layers.iter().chain([&clone.upper]).cloned()),
            None => drop(counted.insert(volume.name.clone())),
        }
    }
    let sizes = Real { engine, site }.sizes_of(&counted).await?;
    let bytes_of = |name: &String| sizes.get(name).copied().unwrap_or_default();
    let mut disks: BTreeMap<String, Usage> = BTreeMap::new();
    for (task, clone, volume) in own {
        let usage = disks.entry(task.clone()).or_default();
        match clone {
            Some(clone) => {
                usage.disk_own_bytes += bytes_of(&clone.upper);
                usage.disk_shared_bytes += clone.layers.iter().map(bytes_of).sum::<u64>();
            }
            None => usage.disk_own_bytes += bytes_of(&volume.name),
        }
    }
    Ok(disks)
}
