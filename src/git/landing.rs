//! Whether the work of a branch has arrived on the default branch, here or at the remote: merged, or by its content alone
//! (squashed, rebased, picked).
//!
//! In doubt it has not. Work that arrived only in part, that differs in white space, or that was taken back since has not
//! arrived, however many edits came later.

use std::path::Path;

use super::patch::{self, Change, Index, Patch};
use super::program::Program;
use super::store::Store;
use super::{CommitId, DefaultBranch, Repo};
use crate::error::{Error, Kind, Result};

/// How work has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Its commits are there.
    Merged,
    /// All of it is in one commit there.
    Squashed,
    /// Each of its commits has a counterpart there.
    Picked,
    /// Merging it would change nothing.
    Contained,
}

/// That work has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// How.
    pub how: Landing,
    /// Where, as people call it: `main`, `origin/main`.
    pub onto: String,
}

impl Landed {
    /// As it is told: `squashed into main`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let onto = &self.onto;
        match self.how {
            Landing::Merged => format!("merged into {onto}"),
            Landing::Squashed => format!("squashed into {onto}"),
            Landing::Picked => format!("every commit picked onto {onto}"),
            Landing::Contained => format!("contained in {onto}"),
        }
    }
}

/// What one branch says of the work.
enum Verdict {
    Landed(Landing),
    /// It had arrived, and was undone since.
    TakenBack,
    Missing,
}

/// Longer command lines are not asked of git; the whole log is read instead.
const PATHSPECS_MAX: usize = 400;

impl Repo {
    /// Whether the work after the commit `since` up to `tip` has arrived on the default branch, as it is here or as it was
    /// last seen at the remote. Where nobody knows since when, work whose commits are there cannot be told from none. No
    /// work at all has not arrived.
    pub async fn landing(&self, tip: &CommitId, since: Option<&CommitId>) -> Result<Option<Landed>> {
        let Some(default) = self.default_branch()? else { return Ok(None) };
        if since == Some(tip) {
            return Ok(None);
        }
        let mut found = None;
        for (onto, target) in targets(&self.store(), &default)? {
            match self.verdict(tip, since, &target).await? {
                Verdict::Landed(how) => found = found.or(Some(Landed { how, onto })),
                Verdict::TakenBack => return Ok(None),
                Verdict::Missing => {}
            }
        }
        Ok(found)
    }

    async fn verdict(&self, tip: &CommitId, since: Option<&CommitId>, target: &CommitId) -> Result<Verdict> {
        if self.store().contains(target, tip) {
            return self.verdict_of_merged(tip, since, target).await;
        }
        let Some(base) = self.merge_base(tip, target).await? else { return Ok(Verdict::Missing) };
        let whole = self.difference(&base, tip).await?;
        if whole.is_empty() {
            return Ok(Verdict::Missing);
        }
        let trial = self.trial().await?;
        if trial.adds_nothing(target, tip).await? {
            return Ok(Verdict::Landed(Landing::Contained));
        }
        let history = self.history(&base, target, &whole).await?;
        // The newest counts: work that was taken back may have come again. The same lines may stand elsewhere in the file,
        // so merging the work into that commit must change nothing.
        for (place, patch) in history.iter().enumerate().filter(|(_, patch)| patch.has(&whole)) {
            let Some(commit) = CommitId::parse(&patch.commit) else { continue };
            if trial.adds_nothing(&commit, tip).await? {
                let back =
                    taken_back_in(&history[..place], &whole) || self.is_put_back([&base, tip], target, &whole).await?;
                return Ok(if back { Verdict::TakenBack } else { Verdict::Landed(Landing::Squashed) });
            }
        }
        let Some(own) = self.own_patches(&base, tip).await? else { return Ok(Verdict::Missing) };
        let (verdict, pairs) = picked(&own, &history);
        for (ours, theirs) in pairs {
            if !trial.is_pick(&ours, &theirs).await? {
                return Ok(Verdict::Missing);
            }
        }
        let put_back = matches!(verdict, Verdict::Landed(_)) && self.is_put_back([&base, tip], target, &whole).await?;
        Ok(if put_back { Verdict::TakenBack } else { verdict })
    }

    /// The commits are there. What they did may have been undone since, in one go or one by one.
    async fn verdict_of_merged(&self, tip: &CommitId, since: Option<&CommitId>, target: &CommitId) -> Result<Verdict> {
        let Some(since) = since else { return Ok(Verdict::Missing) };
        let mut all = self.difference(since, tip).await?;
        for patch in self.own_patches(since, tip).await?.unwrap_or_default() {
            all.extend(patch.changes);
        }
        let history = self.history(tip, target, &all).await?;
        let back = taken_back_in(&history, &all) || self.is_put_back([since, tip], target, &all).await?;
        Ok(if back { Verdict::TakenBack } else { Verdict::Landed(Landing::Merged) })
    }

    /// Whether lines that the work had changed are on a branch as they were before it, whatever came between: put back by hand,
    /// in several steps, or after they had been changed further.
    async fn is_put_back(&self, work: [&CommitId; 2], target: &CommitId, changes: &[Change]) -> Result<bool> {
        let [base, tip] = work;
        let paths = patch::pathspecs(changes).filter(|paths| paths.len() <= PATHSPECS_MAX).unwrap_or_default();
        let (then, now) = futures::try_join!(self.diff(base, tip, &paths), self.diff(base, target, &paths))?;
        let (then, now) = (patch::ranges(&then), patch::ranges(&now));
        let is_back = |(file, ranges): (&&[u8], &Vec<(usize, usize)>)| {
            let differs = |line: usize, now: &[(usize, usize)]| {
                now.iter().any(|(from, count)| (*from..from + count).contains(&line))
            };
            match now.get(file) {
                // What only adds may have been moved to another file.
                None => ranges.is_empty() || ranges.iter().any(|(_, count)| *count > 0),
                // Not text, and other than before.
                Some(now) if now.is_empty() || ranges.is_empty() => false,
                Some(now) => ranges.iter().any(|(from, count)| (*from..from + count).any(|line| !differs(line, now))),
            }
        };
        Ok(then.iter().any(is_back))
    }

    async fn merge_base(&self, one: &CommitId, other: &CommitId) -> Result<Option<CommitId>> {
        let output = self.git().args(["merge-base", one.as_str(), other.as_str()]).run().await?;
        Ok(if output.ok { CommitId::parse(String::from_utf8_lossy(&output.stdout).trim()) } else { None })
    }

    async fn difference(&self, from: &CommitId, to: &CommitId) -> Result<Vec<Change>> {
        let output = self.diff(from, to, &[]).await?;
        Ok(patch::parse(&output).into_iter().flat_map(|patch| patch.changes).collect())
    }

    async fn diff(&self, from: &CommitId, to: &CommitId, paths: &[String]) -> Result<Vec<u8>> {
        let what = format!("cannot tell what {} changes", to.short());
        let git = self.git().args(["diff-tree", "-r"]).args(patch::OPTIONS);
        git.args([from.as_str(), to.as_str(), "--"]).args(paths).stdout(what).await
    }

    /// The commits after `from` up to `to`, newest first, as far as they touch the files of these changes. Those that take
    /// something of them back are read whole, since they may only move it.
    async fn history(&self, from: &CommitId, to: &CommitId, of: &[Change]) -> Result<Vec<Patch>> {
        let paths = patch::pathspecs(of).filter(|paths| paths.len() <= PATHSPECS_MAX).unwrap_or_default();
        let mut history = self.log(from, to, &paths).await?;
        for patch in history.iter_mut().filter(|_| !paths.is_empty()) {
            let index = patch.index();
            if of.iter().any(|change| index.takes_back(change)) {
                let what = format!("cannot tell what {} changes", patch.commit);
                let whole = self.patches(&["--max-count=1", &patch.commit], &[], what).await?;
                patch.changes = whole.into_iter().flat_map(|patch| patch.changes).collect();
            }
        }
        Ok(history)
    }

    /// What each commit of a branch changes, oldest first; none where it has merges, whose own changes no log shows.
    async fn own_patches(&self, base: &CommitId, tip: &CommitId) -> Result<Option<Vec<Patch>>> {
        let what = format!("cannot list the commits of {}", tip.short());
        let range = format!("{base}..{tip}");
        let merges = self.git().args(["rev-list", "--merges", "--max-count=1", &range]).stdout(what).await?;
        if !merges.is_empty() {
            return Ok(None);
        }
        let mut own = self.log(base, tip, &[]).await?;
        own.retain(|patch| !patch.changes.is_empty());
        own.reverse();
        Ok(Some(own))
    }

    async fn log(&self, from: &CommitId, to: &CommitId, paths: &[String]) -> Result<Vec<Patch>> {
        let what = format!("cannot read the commits up to {}", to.short());
        let range = format!("{from}..{to}");
        self.patches(&["--topo-order", "--full-history", "--show-pulls", &range], paths, what).await
    }

    /// Of a merge, what is in neither of its sides: conflicts that were resolved, and lines that were dropped.
    async fn patches(&self, which: &[&str], paths: &[String], what: String) -> Result<Vec<Patch>> {
        let git = self.git().args(["log", "--remerge-diff", "--no-show-signature", "--no-notes", patch::HEADER]);
        let git = git.args(patch::OPTIONS).args(which).arg("--").args(paths);
        Ok(patch::parse(&git.stdout(what).await?))
    }

    async fn trial(&self) -> Result<Trial<'_>> {
        let empty =
            self.git().args(["hash-object", "-t", "tree", "--stdin"]).stdout("cannot name the empty tree").await?;
        let drivers = self.git().args(["config", "--name-only", "--get-regexp", r"^merge\..*\.driver$"]).run().await?;
        Ok(Trial {
            repo: self,
            empty: String::from_utf8_lossy(empty.trim_ascii()).into_owned(),
            drivers: String::from_utf8_lossy(&drivers.stdout).lines().map(str::to_owned).collect(),
        })
    }
}

/// Merges that are only asked about: what they write goes nowhere. Attributes could name a merge driver that keeps one side
/// whatever the other says, so none are read, and what is configured fails.
struct Trial<'a> {
    repo: &'a Repo,
    /// The tree that has no attributes.
    empty: String,
    /// The settings that name a driver.
    drivers: Vec<String>,
}

impl Trial<'_> {
    /// Whether a commit is another's counterpart at the same place: picking it anew would leave that as it is.
    async fn is_pick(&self, ours: &CommitId, theirs: &CommitId) -> Result<bool> {
        self.leaves(theirs, &["--merge-base", &format!("{ours}^"), theirs.as_str(), ours.as_str()]).await
    }

    /// Whether merging a commit into another would leave that as it is.
    async fn adds_nothing(&self, target: &CommitId, tip: &CommitId) -> Result<bool> {
        self.leaves(target, &[target.as_str(), tip.as_str()]).await
    }

    async fn leaves(&self, target: &CommitId, merge: &[&str]) -> Result<bool> {
        let what = format!("cannot read the tree of {}", target.short());
        let tree = self.repo.git().args(["rev-parse", &format!("{target}^{{tree}}")]).stdout(what).await?;
        let failed = |e| Error::new(Kind::Files, "cannot make a temporary directory").because(e);
        let scratch = tempfile::tempdir().map_err(failed)?;
        let merged = self.git(scratch.path()).args(["merge-tree", "--write-tree"]).args(merge).run().await?;
        Ok(merged.ok && merged.stdout.trim_ascii() == tree.trim_ascii())
    }

    fn git(&self, scratch: &Path) -> Program {
        let objects = self.repo.common_dir().join("objects").display().to_string();
        let objects = format!("\"{}\"", objects.replace('\\', "\\\\").replace('"', "\\\""));
        let git = self.repo.git().args(["-c", "core.attributesFile=/dev/null", "-c", "merge.renormalize=false"]);
        let git = git.env("GIT_ATTR_SOURCE", &self.empty);
        let git = git.env("GIT_OBJECT_DIRECTORY", scratch).env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects);
        self.drivers.iter().fold(git, |git, driver| git.args(["-c", &format!("{driver}=false")]))
    }
}

/// The default branch here and as last seen at the remote. Of two where one contains the other that one speaks for both:
/// what was taken back there stays taken back.
fn targets(store: &Store, default: &DefaultBranch) -> Result<Vec<(String, CommitId)>> {
    let mut found = Vec::new();
    if let Some(commit) = store.commit(&format!("refs/heads/{}", default.name))? {
        found.push((default.name.clone(), commit));
    }
    if let Some(tracking) = &default.tracking
        && let Some(commit) = store.commit(tracking)?
    {
        found.push((tracking.trim_start_matches("refs/remotes/").to_owned(), commit));
    }
    if let [(_, here), (_, there)] = &*found {
        if store.contains(here, there) {
            found.truncate(1);
        } else if store.contains(there, here) {
            found.remove(0);
        }
    }
    Ok(found)
}

/// Whether each commit has a counterpart of its own that still holds, and which. A branch may undo what it did itself.
fn picked(own: &[Patch], history: &[Patch]) -> (Verdict, Vec<(CommitId, CommitId)>) {
    let mut rest: Vec<Patch> = history.to_vec();
    let mut places = Vec::new();
    for patch in own {
        let found = rest.iter().enumerate().find_map(|(place, it)| Some((place, it.without(&patch.changes)?)));
        let Some((place, without)) = found else { return (Verdict::Missing, Vec::new()) };
        rest[place] = without;
        places.push(place);
    }
    if own.is_empty() {
        return (Verdict::Missing, Vec::new());
    }
    let indexes: Vec<Index> = history.iter().map(Patch::index).collect();
    let is_taken_back = |(patch, place): (&Patch, &usize)| {
        let numbered = indexes[..*place].iter().enumerate();
        let later: Vec<&Index> = numbered.filter(|(number, _)| !places.contains(number)).map(|(_, it)| it).collect();
        taken_back(&patch.changes, &later)
    };
    let back = own.iter().zip(&places).any(is_taken_back);
    let pair = |(ours, place): (&Patch, &usize)| {
        Some((CommitId::parse(&ours.commit)?, CommitId::parse(&history[*place].commit)?))
    };
    let pairs = own.iter().zip(&places).filter_map(pair).collect();
    (if back { Verdict::TakenBack } else { Verdict::Landed(Landing::Picked) }, pairs)
}

/// As [`taken_back`], of commits whose lines nobody has looked up yet.
fn taken_back_in(later: &[Patch], changes: &[Change]) -> bool {
    let indexes: Vec<Index> = later.iter().map(Patch::index).collect();
    taken_back(changes, &indexes.iter().collect::<Vec<_>>())
}

/// Whether any of these changes was undone by a later commit, newest first, and not all of them made again after that.
fn taken_back(changes: &[Change], later: &[&Index]) -> bool {
    // Since the newest commit that makes them all again nothing older counts.
    let again = later.iter().position(|index| index.patch.has(changes)).map_or(later.len(), |place| place + 1);
    let decisive = patch::decisive(changes);
    decisive.into_iter().any(|change| later[..again].iter().any(|index| index.takes_back(change)))
}

#[cfg(test)]
mod tests;
