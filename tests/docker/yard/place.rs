//! Where yards are, and what is left of those of runs that were killed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{REPO_LABEL, STRAY_LABEL, UPPER_LABEL, sweep};

/// Locked as long as a yard is in use: the kernel frees it, however the process ends.
pub(super) const ALIVE: &str = "alive";

/// The same for what it has on a disk.
pub(super) const ENGINE_ALIVE: &str = "engine-alive";

pub(super) fn temporary() -> PathBuf {
    fs::canonicalize(std::env::temp_dir()).unwrap()
}

/// Where that is which is to be on a disk.
const DISK: &str = "/var/tmp";

/// Where a yard has what is to be on a disk: the yard itself may be in memory.
pub(super) fn on_disk(yard: &Path) -> PathBuf {
    Path::new(DISK).join(yard.file_name().unwrap_or_default())
}

/// Clears away what runs left that were killed, wherever they had their yards.
pub(super) fn sweep_the_dead() {
    let places = BTreeSet::from([temporary(), "/tmp".into(), "/dev/shm".into()]);
    let yards = |place: &Path| {
        let entries = fs::read_dir(place).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("dt-")).map(|entry| entry.path())
    };
    for path in places.iter().flat_map(|place| yards(place)) {
        let Ok(alive) = File::open(path.join(ALIVE)) else { continue };
        if alive.try_lock().is_ok() {
            empty(&path);
        }
    }
    // What was in memory is gone after a reboot.
    for path in yards(Path::new(DISK)) {
        let Ok(alive) = File::open(path.join(ENGINE_ALIVE)) else { continue };
        if alive.try_lock().is_ok() {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Removes what the engine has of the repositories in a yard, then the yard.
pub(super) fn empty(directory: &Path) {
    for repository in repositories(directory, 2) {
        for label in [REPO_LABEL, UPPER_LABEL] {
            sweep(&format!("{label}={}", repository.display()));
        }
    }
    sweep(&format!("{STRAY_LABEL}={}", directory.display()));
    for place in [directory, &on_disk(directory)] {
        let _ = fs::remove_dir_all(place);
    }
}

/// Git's own directories of the repositories below a directory.
fn repositories(directory: &Path, depth: usize) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink());
    below
        .flat_map(|path| {
            let is_git = path.join("HEAD").is_file() && path.join("objects").is_dir();
            match (is_git, depth) {
                (true, _) => vec![path],
                (false, 0) => Vec::new(),
                (false, _) => repositories(&path, depth - 1),
            }
        })
        .collect()
}
