//! Everything that is on a desk, file by file, so that "nothing was made" can be said of all of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Desk;

/// Every path with what it holds; nothing for a directory.
pub(crate) struct Footprint(BTreeMap<PathBuf, Option<Vec<u8>>>);

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

fn collect(directory: &Path, paths: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            collect(&path, paths);
        }
        // A socket cannot be read.
        let content = if kind.is_file() { fs::read(&path).ok() } else { None };
        paths.insert(path, content);
    }
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
