//! Containers that are made for one purpose and removed at once.

use futures::TryStreamExt;

use crate::engine::{ContainerSpec, CreateContainer, Engine, Exit, LogOptions};
use crate::error::{Error, Kind, Result};

/// Makes one; the answer is its id. Whoever makes it removes it.
pub(super) async fn create(engine: &Engine, spec: &ContainerSpec) -> Result<String> {
    match engine.create_container(spec).await? {
        CreateContainer::Created(id) => Ok(id),
        CreateContainer::NoNetwork(why) => {
            Err(Error::new(Kind::Engine, format!("cannot create {}", spec.name)).because(why))
        }
        CreateContainer::NameTaken(_) => {
            Err(Error::new(Kind::Engine, format!("{} is being made by another", spec.name)).hint("try again"))
        }
    }
}

/// Makes one, has it run to its end and removes it. How it ended, and the lines that it wrote.
pub(super) async fn run(engine: &Engine, spec: &ContainerSpec) -> Result<(Exit, Vec<String>)> {
    run_heard(engine, spec, |_| {}).await
}

/// The same, each line also as it is written.
pub(super) async fn run_heard(
    engine: &Engine,
    spec: &ContainerSpec,
    hear: impl Fn(&str),
) -> Result<(Exit, Vec<String>)> {
    let id = create(engine, spec).await?;
    let ran = run_to_end(engine, &id, hear).await;
    engine.remove_container(&id).await?;
    ran
}

async fn run_to_end(engine: &Engine, id: &str, hear: impl Fn(&str)) -> Result<(Exit, Vec<String>)> {
    engine.start(id).await?;
    let mut written = engine.logs(id, &LogOptions { follow: true, ..LogOptions::default() });
    let mut said = Vec::new();
    while let Some(line) = written.try_next().await? {
        let line = String::from_utf8_lossy(&line.line).trim_end().to_owned();
        hear(&line);
        said.push(line);
    }
    Ok((engine.watch(id).await?, said))
}
