//! A real client of Docker Compose v2.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use super::{Ran, source};

/// The client's path; fetched the first time.
pub(crate) fn client() -> PathBuf {
    let directory = source("target/tools");
    fs::create_dir_all(&directory).unwrap();
    // Of several scenarios at once one fetches it, and the others wait.
    let lock = File::create(directory.join("compose.lock")).unwrap();
    lock.lock().unwrap();
    let path = directory.join("docker-compose");
    let fetched = Command::new(source("tests/tools/compose-v2")).arg(&path).output().unwrap();
    Ran::of("compose-v2".into(), &fetched).ok();
    path
}
