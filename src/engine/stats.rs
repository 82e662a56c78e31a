//! What a container uses, as the kernel counts it.

use std::time::Instant;

use bollard::query_parameters::StatsOptionsBuilder;
use futures::StreamExt;

use super::{
    deadline,
    docker::{Engine, next_within},
};
use crate::error::Result;

/// One look at what a container uses.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// The memory that it would not give back, in bytes: without files that are cached.
    pub memory_bytes: u64,
    /// The processor time it has had, in nanoseconds.
    pub cpu_ns: u64,
    /// When that was.
    pub at: Instant,
}

impl Engine {
    /// Asks once what a container uses; nothing where it does not run or is gone.
    pub async fn stats(&self, id: &str) -> Result<Option<Stats>> {
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let mut answers = self.docker.stats(id, Some(options)).boxed();
        let answer = match next_within(deadline::LOOK, &mut answers).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(None),
            Err(failure) if failure.is_not_found() => return Ok(None),
            Err(failure) => return Err(failure.into_error(&format!("cannot ask what container {id} uses"))),
        };
        let memory = answer.memory_stats.unwrap_or_default();
        let Some(used) = memory.usage else { return Ok(None) };
        let parts = memory.stats.unwrap_or_default();
        // As the second version of control groups calls it, and the first.
        let cached = ["inactive_file", "total_inactive_file"].iter().find_map(|name| parts.get(*name)).copied();
        let cpu = answer.cpu_stats.and_then(|cpu| cpu.cpu_usage).and_then(|usage| usage.total_usage);
        Ok(Some(Stats {
            memory_bytes: used.saturating_sub(cached.unwrap_or_default()),
            cpu_ns: cpu.unwrap_or_default(),
            at: Instant::now(),
        }))
    }
}
