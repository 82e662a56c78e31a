//! What a commit changes, as runs of lines: the form in which work is recognised on another branch.
//!
//! Neither line numbers nor the lines around take part, since both differ where the other branch had moved on. White
//! space does: what differs in it alone is other work.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// What makes git print every change, whatever the user's settings: no renames, no lines around, no filters.
pub(super) const OPTIONS: [&str; 14] = [
    "--patch",
    "--unified=0",
    "--inter-hunk-context=0",
    "--no-renames",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--full-index",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--submodule=short",
    "--ignore-submodules=none",
    "--diff-algorithm=histogram",
];

/// So much text is not in two files by chance.
const TELLING_BYTES: usize = 6;

/// What a line that stands for something else than text begins with.
const NO_TEXT: &[u8] = b"\0";

/// What `git log` is to print before the patch of each commit: a byte that begins no line of a patch, and the commit.
pub(super) const HEADER: &str = "--format=%x00%H";

/// A run of lines of one file, changed as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Change {
    /// The file, as git names it in a patch.
    file: Vec<u8>,
    removed: Vec<Vec<u8>>,
    added: Vec<Vec<u8>>,
}

/// All that one commit changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Patch {
    /// The commit; empty in the difference of two.
    pub(super) commit: String,
    pub(super) changes: Vec<Change>,
}

impl Change {
    /// Whether it is about lines, not about a file's being there, or its mode.
    fn is_text(&self) -> bool {
        !self.removed.iter().chain(&self.added).any(|line| line.starts_with(NO_TEXT))
    }
}

/// The changes that decide whether a file's are undone: of one that came with text, the text.
pub(super) fn decisive(changes: &[Change]) -> Vec<&Change> {
    let with_text: BTreeSet<&[u8]> = changes.iter().filter(|it| it.is_text()).map(|it| &*it.file).collect();
    let comes_or_goes = |it: &Change| it.removed.is_empty() || it.added.is_empty();
    let decides = |it: &&Change| it.is_text() || !comes_or_goes(it) || !with_text.contains(&*it.file);
    changes.iter().filter(decides).collect()
}

impl Patch {
    /// Whether every one of these changes is among its own; one that is there twice counts twice.
    pub(super) fn has(&self, wanted: &[Change]) -> bool {
        if self.changes.len() < wanted.len() {
            return false;
        }
        let mut there = counted(&self.changes);
        wanted.iter().all(|change| take(&mut there, change))
    }

    /// What it changes besides these; none where one of them is not among its own.
    pub(super) fn without(&self, wanted: &[Change]) -> Option<Patch> {
        if !self.has(wanted) {
            return None;
        }
        let mut taken = counted(wanted);
        let rest = self.changes.iter().filter(|change| !take(&mut taken, change)).cloned().collect();
        Some(Patch { commit: self.commit.clone(), changes: rest })
    }

    /// What finds the few among its changes that may undo another.
    pub(super) fn index(&self) -> Index<'_> {
        let (mut removing, mut adding) = (ByLine::new(), ByLine::new());
        for change in &self.changes {
            for (lines, by_line) in [(&change.removed, &mut removing), (&change.added, &mut adding)] {
                for line in lines {
                    by_line.entry((&change.file, line)).or_default().push(change);
                }
            }
        }
        Index { patch: self, removing, adding }
    }
}

fn counted(changes: &[Change]) -> HashMap<&Change, usize> {
    let mut counts = HashMap::with_capacity(changes.len());
    for change in changes {
        *counts.entry(change).or_default() += 1;
    }
    counts
}

/// Takes one, if there is one left.
fn take(counts: &mut HashMap<&Change, usize>, change: &Change) -> bool {
    counts.get_mut(change).filter(|count| **count > 0).map(|count| *count -= 1).is_some()
}

/// Changes by a file and a line in it.
type ByLine<'a> = HashMap<(&'a [u8], &'a [u8]), Vec<&'a Change>>;

/// A commit's changes by their lines. Of commits with thousands of runs, to compare each with each would take minutes.
pub(super) struct Index<'a> {
    pub(super) patch: &'a Patch,
    removing: ByLine<'a>,
    adding: ByLine<'a>,
}

impl Index<'_> {
    /// Whether the commit undoes an earlier change, or some of it: lines that it takes away and puts nothing in their place.
    /// Lines that are changed further are not undone, nor are those that it moves to another file.
    pub(super) fn takes_back(&self, earlier: &Change) -> bool {
        // A lone bracket is in many files, and so are modes.
        let telling = earlier.is_text() && earlier.added.iter().map(Vec::len).sum::<usize>() >= TELLING_BYTES;
        let keeps = |it: &Change| telling && it.file != earlier.file && holds(&it.added, &earlier.added);
        self.candidates(earlier).any(|it| undoes(it, earlier)) && !self.patch.changes.iter().any(keeps)
    }

    /// Those that take away a line that the other brought, or, where it brought none, bring back its first.
    fn candidates<'c>(&'c self, earlier: &'c Change) -> impl Iterator<Item = &'c Change> {
        let by_line = if earlier.added.is_empty() { &self.adding } else { &self.removing };
        let first = if earlier.added.is_empty() { &earlier.removed } else { &earlier.added }.first();
        let telling = earlier.added.iter().skip(1).filter(|line| says_something(line));
        let lines = first.into_iter().chain(telling);
        lines.filter_map(|line| by_line.get(&(&*earlier.file, &**line))).flatten().copied()
    }
}

/// Whether a change of the same file takes an earlier one back.
fn undoes(it: &Change, earlier: &Change) -> bool {
    let takes_away = it.added.is_empty()
        && it.removed.iter().filter(|line| says_something(line)).any(|line| earlier.added.contains(line));
    let reverts = holds(&it.removed, &earlier.added)
        && holds(&it.added, &earlier.removed)
        // Where nothing had been there before, an edit removes the lines too, and puts others in their place.
        && (!earlier.removed.is_empty() || it.removed.len() >= it.added.len() + earlier.added.len());
    takes_away || reverts
}

fn says_something(line: &[u8]) -> bool {
    line.iter().filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()).count() > 1
}

/// The files of changes as patterns that match nothing else, for `git log -- PATTERN…`.
///
/// None where a name cannot be told from the patch: then the log is to be read whole.
pub(super) fn pathspecs(changes: &[Change]) -> Option<Vec<String>> {
    let mut specs = BTreeSet::new();
    for change in changes {
        // `a/NAME b/NAME`, quoted where the name has something unusual in it.
        let text = std::str::from_utf8(&change.file).ok().filter(|text| text.starts_with("a/"))?;
        let name = text.get(2..text.len().checked_sub(5)? / 2 + 2)?;
        let mut spec = String::new();
        let _ = write!(spec, ":(top,literal){name}");
        (text == format!("a/{name} b/{name}")).then_some(())?;
        specs.insert(spec);
    }
    Some(specs.into_iter().collect())
}

/// Whether some lines stand among others, one after the other.
fn holds(lines: &[Vec<u8>], wanted: &[Vec<u8>]) -> bool {
    wanted.is_empty() || lines.windows(wanted.len()).any(|window| window == wanted)
}

/// Reads what git printed with [`OPTIONS`], and for a log with [`HEADER`]; in its order.
pub(super) fn parse(output: &[u8]) -> Vec<Patch> {
    let mut patches: Vec<Patch> = Vec::new();
    let mut lines = output.split(|&byte| byte == b'\n');
    let (mut file, mut blobs): (&[u8], &[u8]) = (b"", b"");
    while let Some(line) = lines.next() {
        let mut add = |removed: &[&[u8]], added: &[&[u8]]| {
            if patches.is_empty() {
                patches.push(Patch::default());
            }
            let owned = |lines: &[&[u8]]| lines.iter().map(|line| line.to_vec()).collect();
            let change = Change { file: file.to_vec(), removed: owned(removed), added: owned(added) };
            patches.last_mut().into_iter().for_each(|patch| patch.changes.push(change.clone()));
        };
        if let Some(commit) = line.strip_prefix(b"\0") {
            patches.push(Patch { commit: String::from_utf8_lossy(commit).into_owned(), changes: Vec::new() });
        } else if let Some(names) = line.strip_prefix(b"diff --git ") {
            file = names;
        } else if let Some(mode) = line.strip_prefix(b"new file ") {
            add(&[], &[&no_text(mode)]);
        } else if let Some(mode) = line.strip_prefix(b"deleted file ") {
            add(&[&no_text(mode)], &[]);
        } else if let Some(mode) = line.strip_prefix(b"old ") {
            let new = lines.next().and_then(|line| line.strip_prefix(b"new ")).unwrap_or_default();
            add(&[&no_text(mode)], &[&no_text(new)]);
        } else if let Some(names) = line.strip_prefix(b"index ") {
            blobs = names.split(|&byte| byte == b' ').next().unwrap_or_default();
        } else if line.starts_with(b"Binary files ") {
            let end = blobs.windows(2).position(|pair| pair == b"..").unwrap_or(blobs.len());
            add(&[&blobs[..end]], &[blobs.get(end + 2..).unwrap_or_default()]);
        } else if let Some((removed, added)) = line.strip_prefix(b"@@ ").and_then(counts) {
            let mut run = |sign: u8, count: usize| -> Vec<&[u8]> {
                let signed = lines.by_ref().filter(|line| line.first() == Some(&sign));
                signed.take(count).map(|line| &line[1..]).collect()
            };
            let (removed, added) = (run(b'-', removed), run(b'+', added));
            add(&removed, &added);
        }
    }
    patches
}

/// A mode as a line that no text has.
fn no_text(mode: &[u8]) -> Vec<u8> {
    [NO_TEXT, mode].concat()
}

/// Where a difference changes the lines of the older side, file by file: first line and count. A file that is no text, or
/// has none of its lines changed, is there with none.
pub(super) fn ranges(output: &[u8]) -> HashMap<&[u8], Vec<(usize, usize)>> {
    let mut all: HashMap<&[u8], Vec<(usize, usize)>> = HashMap::new();
    let (mut file, mut body): (&[u8], usize) = (b"", 0);
    for line in output.split(|&byte| byte == b'\n') {
        if body > 0 && matches!(line.first(), Some(b'-' | b'+')) {
            body -= 1;
        } else if let Some(names) = line.strip_prefix(b"diff --git ") {
            file = names;
            all.entry(file).or_default();
        } else if let Some(header) = line.strip_prefix(b"@@ ") {
            body = counts(header).map_or(0, |(removed, added)| removed + added);
            all.entry(file).or_default().extend(older_lines(header));
        }
    }
    all
}

/// The lines of the older side that a hunk is about: `-3,2 +3 @@ …`.
fn older_lines(header: &[u8]) -> Option<(usize, usize)> {
    let range = std::str::from_utf8(header.split(|&byte| byte == b' ').next()?).ok()?.strip_prefix('-')?;
    let (first, count) = range.split_once(',').unwrap_or((range, "1"));
    Some((first.parse().ok()?, count.parse().ok()?))
}

/// How many lines a hunk removes and adds: `-3,2 +3 @@ …`.
fn counts(header: &[u8]) -> Option<(usize, usize)> {
    let mut ranges = std::str::from_utf8(header.split(|&byte| byte == b'@').next()?).ok()?.split_whitespace();
    let mut count = |sign: char| {
        let range = ranges.next()?.strip_prefix(sign)?;
        range.split_once(',').map_or(Some(1), |(_, count)| count.parse().ok())
    };
    Some((count('-')?, count('+')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(file: &str, removed: &[&str], added: &[&str]) -> Change {
        let lines = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        Change { file: format!("a/{file} b/{file}").into_bytes(), removed: lines(removed), added: lines(added) }
    }

    fn patch(changes: &[Change]) -> Patch {
        Patch { commit: String::new(), changes: changes.to_vec() }
    }

    #[test]
    fn a_log_is_read_commit_by_commit() {
        let log = "\0aa\n\ndiff --git a/f b/f\nindex 1..2 100644\n--- a/f\n+++ b/f\n@@ -1,2 +1 @@ fn x\n--- minus\n-two\n\
                   \\ No newline at end of file\n+++ plus\n@@ -9,0 +8 @@\n+nine\n\0bb\n\ndiff --git a/g b/g\n\
                   new file mode 100644\nindex 0..5\nBinary files /dev/null and b/g differ\ndiff --git a/h b/h\n\
                   old mode 100644\nnew mode 100755\n";
        let binary = change("g", &["0"], &["5"]);
        let read = parse(log.as_bytes());
        assert_eq!(read[0].commit, "aa");
        assert_eq!(read[0].changes, [change("f", &["-- minus", "two"], &["++ plus"]), change("f", &[], &["nine"])]);
        let mode = change("h", &["\0mode 100644"], &["\0mode 100755"]);
        assert_eq!(read[1].changes, [change("g", &[], &["\0mode 100644"]), binary, mode]);
        let ranges = ranges(log.as_bytes());
        assert_eq!(ranges[&b"a/f b/f"[..]], [(1, 2), (9, 0)]);
        assert!(ranges[&b"a/g b/g"[..]].is_empty());
    }

    #[test]
    fn a_change_that_is_there_once_is_not_there_twice() {
        let line = change("f", &[], &["x"]);
        assert!(patch(&[line.clone(), line.clone()]).has(&[line.clone(), line.clone()]));
        assert!(!patch(std::slice::from_ref(&line)).has(&[line.clone(), line]));
    }

    #[test]
    fn an_edit_is_told_from_a_revert() {
        let edit = change("f", &["x"], &["y"]);
        assert!(patch(&[change("f", &["y"], &["x"])]).index().takes_back(&edit));
        assert!(patch(&[change("f", &["a", "y"], &["x", "b"])]).index().takes_back(&edit));
        assert!(!patch(&[change("f", &["y"], &["z"])]).index().takes_back(&edit));
        assert!(!patch(&[change("g", &["y"], &["x"])]).index().takes_back(&edit));
        let addition = change("f", &[], &["y"]);
        assert!(patch(&[change("f", &["y"], &[])]).index().takes_back(&addition));
        assert!(!patch(&[change("f", &["y"], &["z"])]).index().takes_back(&addition));
        let long = change("f", &[], &["a line", "another"]);
        let moved = [change("f", &["a line", "another"], &[]), change("g", &[], &["a line", "another"])];
        assert!(!patch(&moved).index().takes_back(&long), "moved");
        let bracket = [change("f", &["y"], &[]), change("g", &[], &["y"])];
        assert!(patch(&bracket).index().takes_back(&addition), "too little to tell");
        assert!(patch(&[change("f", &["another"], &[])]).index().takes_back(&long), "in part");
        let deletion = change("f", &["x"], &[]);
        assert!(patch(&[change("f", &[], &["x"])]).index().takes_back(&deletion));
    }

    #[test]
    fn names_that_can_be_told_are_patterns() {
        assert_eq!(pathspecs(&[change("a b/c", &[], &[])]), Some(vec![":(top,literal)a b/c".to_owned()]));
        let quoted = Change { file: b"\"a/\\303\" \"b/\\303\"".to_vec(), ..change("", &[], &[]) };
        assert_eq!(pathspecs(&[quoted]), None);
    }
}
