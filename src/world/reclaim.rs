//! Files in a worktree that a container wrote as root: a throw-away container gives them to us, so that nobody is asked for
//! more rights than the use of the engine.

use std::path::{Path, PathBuf};

use super::Real;
use crate::catalog;
use crate::engine::{ContainerSpec, CreateContainer, Exit, MountKind, MountSpec, labels};
use crate::error::{Error, Kind, Result};
use crate::task::Identity;

/// Where the directory is inside.
const INSIDE: &str = "/left";

/// Only directories: whoever has these can delete what is in them, and a file may have another name elsewhere. Links are not
/// followed, nor what is mounted there: it is not ours.
const SCRIPT: &str = "find /left -xdev -type d -exec chown -h \"$0\" {} + -exec chmod u+rwx {} +";

/// Makes everything below a directory ours to delete.
pub(super) async fn reclaim(world: &Real<'_>, identity: &Identity, directory: &Path) -> Result<()> {
    let what = || format!("cannot take over the files that containers left in {}", directory.display());
    let owner = format!("{}:{}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let image = image(world).await?.ok_or_else(|| {
        Error::new(Kind::Files, what()).because("there is no image of ours to do it with").hint("sandbox images build")
    })?;
    let spec = ContainerSpec {
        name: format!("sandbox-reclaim-{:016x}", identity.spread()),
        image,
        entrypoint: Some(["sh", "-c", SCRIPT, &owner].map(str::to_owned).into()),
        command: Some(Vec::new()),
        user: Some("0:0".into()),
        network_mode: Some("none".into()),
        // Should we be killed, whoever removes the sandbox next finds it.
        labels: labels::owned_by(identity),
        mounts: vec![MountSpec {
            kind: MountKind::Bind,
            source: directory.display().to_string(),
            target: INSIDE.into(),
            ..MountSpec::default()
        }],
        ..ContainerSpec::default()
    };
    world.engine.remove_container(&spec.name).await?;
    let CreateContainer::Created(id) = world.engine.create_container(&spec).await? else {
        return Err(Error::new(Kind::Engine, what()).hint("try again"));
    };
    let ended = match world.engine.start(&id).await {
        Ok(_) => world.engine.watch(&id).await,
        Err(error) => Err(error),
    };
    world.engine.remove_container(&id).await?;
    match ended? {
        Exit::Code(0) | Exit::Gone => Ok(()),
        Exit::Code(code) => Err(Error::new(Kind::Files, what()).because(format!("it ended with exit code {code}"))),
    }
}

/// An image that is here, whichever: all that is asked of it is a shell.
async fn image(world: &Real<'_>) -> Result<Option<String>> {
    for recipe in catalog::RECIPES {
        for reference in [recipe.tag(), recipe.stands_in_for.to_owned()] {
            if world.engine.image(&reference).await?.is_some() {
                return Ok(Some(reference));
            }
        }
    }
    Ok(None)
}

/// The first directory that a removal could not delete, and that is there.
pub(super) fn undeleted(world: &Real<'_>, worktree: &Path, error: &Error) -> Option<PathBuf> {
    if error.kind() != Kind::Files {
        return None;
    }
    world.site.repo.remains(worktree).into_iter().find(|left| left.is_dir())
}
