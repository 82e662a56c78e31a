//! Everything that is on a desk, file by file, so that "nothing was made" can be said of all of it.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Desk;

/// Every path with what is there.
pub(crate) struct Footprint(BTreeMap<PathBuf, Thing>);

/// What is at a path.
#[derive(PartialEq, Eq)]
struct Thing {
    /// Kind and permissions.
    mode: u32,
    /// What a file holds, or a link leads to; of a large file a hash.
    content: Vec<u8>,
}

impl Footprint {
    /// What is there now.
    pub(crate) fn of(desk: &Desk) -> Footprint {
        let mut paths = BTreeMap::new();
        collect(desk.root(), &mut paths);
        // The place of claims and locks may come to be; what is in it is looked at like everything else.
        let state = desk.state();
        for place in [state.join("locks"), state.clone(), state.parent().unwrap().to_owned()] {
            paths.remove(&place);
        }
        paths.retain(|path, _| !path.starts_with(desk.root().join("run")));
        Footprint(paths)
    }

    /// The part of it below a directory.
    pub(crate) fn below(mut self, directory: &Path) -> Footprint {
        self.0.retain(|path, _| path.starts_with(directory));
        self
    }

    /// What came, went or changed, a line each.
    pub(crate) fn since(&self, earlier: &Footprint) -> Vec<String> {
        let line = |word: &str, path: &Path| format!("{word} {}", path.display());
        let gone = earlier.0.keys().filter(|path| !self.0.contains_key(*path)).map(|path| line("gone:", path));
        let other = self.0.iter().filter_map(|(path, content)| match earlier.0.get(path) {
            None => Some(line("new:", path)),
            Some(before) if before != content => Some(line("changed:", path)),
            Some(_) => None,
        });
        gone.chain(other).collect()
    }
}

fn collect(directory: &Path, paths: &mut BTreeMap<PathBuf, Thing>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            collect(&path, paths);
        }
        // A socket cannot be read.
        let content = match () {
            () if kind.is_file() => fs::read(&path).unwrap_or_default(),
            () if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_vec(),
            () => Vec::new(),
        };
        let mode = path.symlink_metadata().unwrap().mode();
        paths.insert(path, Thing { mode, content: if content.len() > LARGE { hash(&content) } else { content } });
    }
}

/// A file of which it is enough to know that it is the same.
const LARGE: usize = 1_000_000;

fn hash(content: &[u8]) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    hasher.finish().to_le_bytes().to_vec()
}

#[test]
fn a_new_a_changed_and_a_missing_file_are_noticed() {
    let desk = Desk::bare();
    desk.write("src/a", "1");
    desk.write("src/b", "1");
    let before = Footprint::of(&desk);
    assert!(Footprint::of(&desk).since(&before).is_empty());
    fs::remove_file(desk.root().join("src/a")).unwrap();
    desk.write("src/b", "2");
    desk.write("home/state/sandbox/locks/c.lock", "");
    let changes = Footprint::of(&desk).since(&before).join("\n");
    insta::assert_snapshot!(changes, @r"
    gone: [DESK]/src/a
    new: [DESK]/home/state/sandbox/locks/c.lock
    changed: [DESK]/src/b
    ");
}
