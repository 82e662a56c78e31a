//! File systems of a scenario's own, mounted and let go of.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Unmounts all that is mounted in a directory.
pub(super) fn unmount(below: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    for place in places.filter(|place| Path::new(place).starts_with(below)).rev() {
        let _ = Command::new("umount").args(["--lazy", place]).status();
    }
}

/// Lets go of the loop devices that a file is attached to.
pub(super) fn detach(file: &Path) {
    let said = Command::new("losetup").args(["--noheadings", "--output", "NAME", "--associated"]).arg(file).output();
    for device in String::from_utf8_lossy(&said.map(|said| said.stdout).unwrap_or_default()).lines() {
        let _ = Command::new("losetup").args(["--detach", device.trim()]).status();
    }
}

/// Mounts XFS at a place in a directory, from a file beside it.
pub(super) fn mount_xfs(directory: &Path, name: &str, has_reflinks: bool) {
    let (place, file) = (directory.join(name), directory.join("xfs.img"));
    fs::create_dir_all(&place).unwrap();
    run(Command::new("truncate").args(["-s", "8G"]).arg(&file));
    run(Command::new("mkfs.xfs").args(["-q", "-m", if has_reflinks { "reflink=1" } else { "reflink=0" }]).arg(&file));
    run(Command::new("mount").args(["-o", "loop"]).arg(&file).arg(&place));
}

pub(super) fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?} ended with {status}");
}
