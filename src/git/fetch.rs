//! The remote's default branch, freshly fetched where the remote answers quickly.
//!
//! Never fails the caller: offline one goes on with what was seen last, and says how old that may be.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::program::Output;
use super::{CommitId, Repo};
use crate::error::Result;

/// What came of fetching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// There is no remote, or several and none is `origin`.
    NoRemote,
    /// The remote-tracking branch is where the remote's is.
    Fetched {
        /// What it is called: `origin/main`.
        tracking: String,
        /// Whether it was elsewhere before.
        moved: bool,
    },
    /// It stays where it was.
    Failed {
        /// In git's words, or ours when the time was over.
        why: String,
        /// How long ago anything was last fetched, at most; `None` when nothing says.
        last_fetch_age: Option<Duration>,
    },
}

/// The ssh programs that do not know `-o`.
const NOT_OPENSSH: [&str; 4] = ["plink", "putty", "tortoiseplink", "simple"];

impl Repo {
    /// Fetches the default branch of `origin`, or of the only remote, and nothing else: no tags, no prompt, no hook, no
    /// `FETCH_HEAD`. After `cap` git and whatever it started are ended.
    pub async fn fetch_default(&self, cap: Duration) -> Fetched {
        match self.try_fetch(cap).await {
            Ok(fetched) => fetched,
            Err(error) => self.failed(error.to_string()),
        }
    }

    async fn try_fetch(&self, cap: Duration) -> Result<Fetched> {
        let Some(remote) = self.default_remote()? else { return Ok(Fetched::NoRemote) };
        let Some(default) = self.default_branch()? else {
            return Ok(self.failed(format!("it is not known which branch of {remote} is the default one")));
        };
        let tracking = format!("{remote}/{}", default.name);
        let refspec = format!("+refs/heads/{}:refs/remotes/{tracking}", default.name);
        let reference = format!("refs/remotes/{tracking}");
        let before = self.store().commit(&reference)?;
        let output = self.fetch(&remote, &refspec, cap).await?;
        let moved = self.store().commit(&reference)? != before;
        Ok(match output {
            Some(output) if output.ok => Fetched::Fetched { tracking, moved },
            // Another process of ours fetches the same: then it need not be done twice.
            Some(output) if output.stderr.contains("cannot lock ref") => Fetched::Fetched { tracking, moved: true },
            Some(output) => self.failed(last_words(&output)),
            None => self.failed(format!("{remote} did not answer within {:.1} s", cap.as_secs_f32())),
        })
    }

    /// Looks whether the same remote has a branch, and fetches that alone when it is not where we saw it last. Whatever
    /// stands in the way is told by [`fetch_default`](Repo::fetch_default), which asks the same remote.
    pub async fn fetch_branch(&self, name: &str, cap: Duration) {
        // The failure of one of the two is enough to report.
        let _ = self.try_fetch_branch(name, cap).await;
    }

    async fn try_fetch_branch(&self, name: &str, cap: Duration) -> Result<()> {
        let Some(remote) = self.default_remote()? else { return Ok(()) };
        let head = format!("refs/heads/{name}");
        let git = self.git().args(["ls-remote", "--quiet", "--", &remote, &head]);
        let Some(listed) = git.ssh(self.ssh_command().await?.as_deref()).run_within(cap).await? else { return Ok(()) };
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let there = listed.lines().filter_map(|line| line.split_once('\t')).find(|(_, its)| *its == head);
        let Some(there) = there.and_then(|(commit, _)| CommitId::parse(commit)) else { return Ok(()) };
        let tracking = format!("refs/remotes/{remote}/{name}");
        if self.store().commit(&tracking)? == Some(there) {
            return Ok(());
        }
        self.fetch(&remote, &format!("+{head}:{tracking}"), cap).await.map(drop)
    }

    async fn fetch(&self, remote: &str, refspec: &str, cap: Duration) -> Result<Option<Output>> {
        let ssh = self.ssh_command().await?;
        // With an empty `--refmap` what the configuration would have fetched along is left alone.
        let mut git = self.git().args(["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--refmap="]);
        git = git.args(["--no-write-fetch-head", "--no-auto-maintenance", "--no-write-commit-graph", "--no-prune"]);
        git.ssh(ssh.as_deref()).args(["--", remote, refspec]).run_within(cap).await
    }

    /// The user's ssh command, made to fail where it would ask. `None` where theirs is to be left alone.
    pub(super) async fn ssh_command(&self) -> Result<Option<String>> {
        if let Ok(command) = std::env::var("GIT_SSH_COMMAND") {
            return Ok(batch(&command));
        }
        let configured = self.git().args(["config", "--get", "core.sshCommand"]).run().await?;
        let configured = String::from_utf8_lossy(&configured.stdout).trim().to_owned();
        if !configured.is_empty() {
            return Ok(batch(&configured));
        }
        // `GIT_SSH` names a program, not a command line, and would be overruled.
        Ok(if std::env::var_os("GIT_SSH").is_some() { None } else { batch("ssh") })
    }

    fn failed(&self, why: String) -> Fetched {
        Fetched::Failed { why, last_fetch_age: self.last_fetch_age() }
    }

    /// The youngest trace of a fetch: `FETCH_HEAD` of any worktree, or a remote-tracking branch that moved.
    fn last_fetch_age(&self) -> Option<Duration> {
        let admin_dirs = self.worktrees().unwrap_or_default().into_iter().map(|worktree| worktree.admin_dir);
        let mut traces: Vec<PathBuf> = admin_dirs.map(|dir| dir.join("FETCH_HEAD")).collect();
        traces.push(self.common_dir().join("FETCH_HEAD"));
        if let (Ok(Some(remote)), Ok(Some(default))) = (self.default_remote(), self.default_branch()) {
            let tracking = format!("refs/remotes/{remote}/{}", default.name);
            traces.push(self.common_dir().join("logs").join(&tracking));
            traces.push(self.common_dir().join(tracking));
            traces.push(self.common_dir().join(format!("logs/refs/remotes/{remote}/HEAD")));
        }
        let youngest = traces.iter().filter_map(|path| modified(path)).max()?;
        Some(SystemTime::now().duration_since(youngest).unwrap_or_default())
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn batch(command: &str) -> Option<String> {
    let program = Path::new(command.split_whitespace().next()?).file_stem()?.to_string_lossy().to_lowercase();
    if NOT_OPENSSH.contains(&&*program) {
        return None;
    }
    // A connection kept open for later would outlive us, and hold our pipes.
    Some(format!("{command} -o BatchMode=yes -o ControlMaster=no"))
}

/// Of a longer complaint the first line says what went wrong, the rest what one might check.
fn last_words(output: &Output) -> String {
    let complaint = output.complaint();
    complaint.split("; Please make sure").next().unwrap_or(&complaint).to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::git::fixture::{Scratch, commit, git};

    const CAP: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn only_the_default_branch_is_fetched() {
        let scratch = Scratch::cloned();
        git(&scratch.origin(), &["branch", "other"]);
        let newer = commit(&scratch.origin(), "a", "1");
        git(&scratch.origin(), &["tag", "v1"]);
        let repo = scratch.repo();
        assert_eq!(repo.fetch_default(CAP).await, Fetched::Fetched { tracking: "origin/main".into(), moved: true });
        assert_eq!(repo.base_for_new_branch().unwrap().commit, newer);
        assert_eq!(
            git(&scratch.main(), &["for-each-ref", "--format=%(refname)", "refs/tags", "refs/remotes/origin/other"]),
            ""
        );
        assert!(!scratch.main().join(".git/FETCH_HEAD").exists());
    }

    #[tokio::test]
    async fn a_bare_clone_gets_a_remote_tracking_branch() {
        let scratch = Scratch::with_commit("origin");
        git(scratch.path(), &["clone", "--quiet", "--bare", "origin", "bare.git"]);
        let newer = commit(&scratch.main(), "a", "1");
        let repo = Repo::discover(&scratch.path().join("bare.git")).unwrap();
        assert_eq!(repo.fetch_default(CAP).await, Fetched::Fetched { tracking: "origin/main".into(), moved: true });
        assert_eq!(repo.base_for_new_branch().unwrap().commit, newer);
    }

    #[tokio::test]
    async fn without_a_remote_there_is_nothing_to_fetch() {
        assert_eq!(Scratch::with_commit("myapp").repo().fetch_default(CAP).await, Fetched::NoRemote);
    }

    #[tokio::test]
    async fn a_remote_that_is_gone_is_a_reason_with_an_age() {
        let scratch = Scratch::cloned();
        fs::remove_dir_all(scratch.origin()).unwrap();
        let Fetched::Failed { why, last_fetch_age } = scratch.repo().fetch_default(CAP).await else { panic!() };
        assert!(why.contains("does not appear to be a git repository"), "{why}");
        assert!(last_fetch_age.unwrap() < Duration::from_mins(1));
    }

    #[tokio::test]
    async fn a_remote_that_does_not_answer_costs_no_more_than_the_cap() {
        let scratch = Scratch::cloned();
        git(&scratch.main(), &["config", "core.sshCommand", "sleep 30; ssh"]);
        git(&scratch.main(), &["remote", "set-url", "origin", "ssh://localhost/x"]);
        git(&scratch.main(), &["config", "ssh.variant", "ssh"]);
        let start = Instant::now();
        let fetched = scratch.repo().fetch_default(Duration::from_millis(200)).await;
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(matches!(fetched, Fetched::Failed { .. }));
    }

    #[test]
    fn openssh_is_told_not_to_ask_and_others_are_left_alone() {
        assert_eq!(batch("ssh -i key").unwrap(), "ssh -i key -o BatchMode=yes -o ControlMaster=no");
        assert_eq!(batch("/opt/plink.exe -batch"), None);
        assert_eq!(batch(" "), None);
    }

    #[tokio::test]
    async fn a_branch_that_was_pushed_since_is_fetched_and_no_other() {
        let scratch = Scratch::cloned();
        for branch in ["fix", "fix-2"] {
            git(&scratch.origin(), &["branch", branch]);
        }
        let repo = scratch.repo();
        let known = || git(&scratch.main(), &["for-each-ref", "--format=%(refname:short)", "refs/remotes/origin/fix*"]);
        for name in ["nowhere", "fi", "x/fix"] {
            repo.fetch_branch(name, CAP).await;
            assert_eq!(known(), "");
        }
        repo.fetch_branch("fix", CAP).await;
        assert_eq!(known(), "origin/fix");
        git(&scratch.origin(), &["checkout", "--quiet", "fix"]);
        let newer = commit(&scratch.origin(), "b", "1");
        repo.fetch_branch("fix", CAP).await;
        assert_eq!(git(&scratch.main(), &["rev-parse", "origin/fix"]), newer.as_str());
    }
}
