//! Building the recipes: the base root file system, and the context packed for the engine.
//!
//! The one door to `mmdebstrap` and `debootstrap`. What is built bears our own name, never that of the image it stands
//! in for.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::catalog::Recipe;
use crate::engine::{BuildSpec, Engine, labels};
use crate::error::{Error, Kind, Result};
use crate::event::Ticker;
use crate::locks::Lock;

/// The Debian release that has the versions the recipes promise.
const RELEASE: &str = "trixie";

/// The base as we name it when we make it.
const BASE: &str = "sandbox-base:trixie";

/// Images at hand that serve as a base just as well.
const OTHER_BASES: &[&str] =
    &["debian:trixie-slim", "debian:trixie", "debian:13-slim", "debian:13", "debian:stable-slim"];

/// How long another's builds may take.
const PATIENCE: Duration = Duration::from_mins(15);

/// The label of the recipes' intermediate stages.
const STAGE: &str = "sandbox.stage";

/// What the final images do not copy need not go into the base.
const LEFT_OUT: &[&str] =
    &["path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/doc/*"];

/// Builds a recipe, and the base first where none is here. One build at a time: two would make the same layers twice.
pub async fn build(engine: &Engine, recipe: &Recipe, locks: &Path, ticker: &Ticker) -> Result<()> {
    let waiting = |holder: &str| ticker.tick(0, None, "steps", format!("waiting for {holder}"));
    let _lock = Lock::acquire(&locks.join("images.lock"), "sandbox, building images", PATIENCE, waiting).await?;
    if engine.image(&recipe.tag()).await?.is_some() {
        return Ok(());
    }
    let base = base(engine, ticker).await?;
    let spec = BuildSpec {
        tag: recipe.tag(),
        build_args: [("BASE".to_owned(), base)].into(),
        labels: [(labels::RECIPE.to_owned(), recipe.name.to_owned())].into(),
        ..BuildSpec::default()
    };
    let built = engine.build(context(recipe)?, &spec, ticker).await;
    sweep_stages(engine).await;
    built
}

/// The classic builder leaves the image of every stage behind, without a tag. The recipes label theirs.
async fn sweep_stages(engine: &Engine) {
    for stage in engine.images(&[(STAGE, None)]).await.unwrap_or_default() {
        // One that another build still needs is kept by the engine.
        let _ = engine.remove_image(&stage.id).await;
    }
}

/// The recipe's files as a tar archive, the same bytes every time.
fn context(recipe: &Recipe) -> Result<Vec<u8>> {
    let failed = |cause| Error::new(Kind::Unexpected, format!("cannot pack the recipe {}", recipe.name)).because(cause);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content, mode) in recipe.files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        archive.append_data(&mut header, name, content.as_bytes()).map_err(failed)?;
    }
    archive.into_inner().map_err(failed)
}

/// The image the recipes start from.
async fn base(engine: &Engine, ticker: &Ticker) -> Result<String> {
    for reference in [BASE].iter().chain(OTHER_BASES) {
        if engine.image(reference).await?.is_some() {
            return Ok((*reference).to_owned());
        }
    }
    ticker.tick(0, None, "steps", "making a Debian base image; this happens once");
    let directory = scratch()?;
    let made = make_base(engine, &directory, ticker).await;
    let _ = std::fs::remove_dir_all(&directory);
    made.map(|()| BASE.to_owned())
}

/// A directory of our own that a mapped user can pass through, as `mmdebstrap --mode=unshare` has to.
fn scratch() -> Result<std::path::PathBuf> {
    let directory = std::env::temp_dir().join(format!("sandbox-base-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory)
        .and_then(|()| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o711))
        })
        .map_err(|cause| Error::new(Kind::Files, format!("cannot make {}", directory.display())).because(cause))?;
    Ok(directory)
}

async fn make_base(engine: &Engine, directory: &Path, ticker: &Ticker) -> Result<()> {
    let archive = directory.join("base.tar");
    let root = rustix::process::geteuid().is_root();
    if let Some(program) = find("mmdebstrap") {
        let mut command = Command::new(program);
        command.arg(if root { "--mode=root" } else { "--mode=unshare" }).args(["--variant=minbase", "--format=tar"]);
        command.args(LEFT_OUT.iter().map(|option| format!("--dpkgopt={option}")));
        run(command.arg(RELEASE).arg(&archive).env("TMPDIR", directory), "mmdebstrap").await?;
    } else if let (true, Some(program)) = (root, find("debootstrap")) {
        let tree = directory.join("tree");
        run(Command::new(program).arg("--variant=minbase").arg(RELEASE).arg(&tree), "debootstrap").await?;
        let mut pack = Command::new("tar");
        pack.args(["--numeric-owner", "--anchored", "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*"]);
        run(pack.arg("-C").arg(&tree).arg("-cf").arg(&archive).arg("."), "tar").await?;
    } else {
        return Err(no_base());
    }
    ticker.tick(0, None, "steps", "importing the base image");
    let file = tokio::fs::File::open(&archive).await;
    let file = file.map_err(|cause| Error::new(Kind::Files, "cannot read the base image back").because(cause))?;
    engine.import(file, BASE, &["CMD [\"bash\"]".to_owned()], ticker).await
}

fn no_base() -> Error {
    Error::new(Kind::Image, "there is no Debian base image here, and no program to make one")
        .hint("apt-get install mmdebstrap uidmap")
        .hint("or load one: `docker load` an image and tag it debian:trixie-slim")
}

fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps debootstrap where an ordinary user's path does not lead.
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories.map(|directory| directory.join(program)).find(|candidate| candidate.is_file())
}

async fn run(command: &mut Command, name: &str) -> Result<()> {
    let failed = |text: String| Error::new(Kind::Image, format!("{name} could not make the base image")).because(text);
    let output =
        command.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(|cause| failed(cause.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = text.lines().rev().take(8).collect();
    Err(failed(last.into_iter().rev().collect::<Vec<_>>().join("\n")))
}
