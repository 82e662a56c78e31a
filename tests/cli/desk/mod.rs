//! A desk: a user with a home, a repository, a git of known habits and an engine of the test's own, in a directory that
//! goes with the test. Nothing of the machine's or the caller's environment gets in.

mod call;
pub(crate) mod engine;
mod footprint;
mod made;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

pub(crate) use engine::FakeEngine;
pub(crate) use footprint::Footprint;

/// Where programs are looked for.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A user that is nobody's: permissions apply to it, as they do not to root.
pub(crate) const NOBODY: u32 = 65534;

/// See the module.
pub(crate) struct Desk {
    root: PathBuf,
    /// Whether commands run as [`NOBODY`] where the test itself is root.
    as_nobody: bool,
    _filters: insta::internals::SettingsBindDropGuard,
    _directory: TempDir,
}

impl Desk {
    /// A desk with a repository `src/blog`: branch `main`, one commit.
    pub(crate) fn new() -> Desk {
        let desk = Desk::unborn();
        desk.commit(&desk.repo(), "README", "read me\n");
        desk
    }

    /// A desk whose repository has no commit.
    pub(crate) fn unborn() -> Desk {
        let desk = Desk::bare();
        desk.git(&desk.root, &["init", "--quiet", "--initial-branch=main", "src/blog"]);
        desk
    }

    /// A desk without a repository.
    pub(crate) fn bare() -> Desk {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        // Others must be able to come in when a command runs as nobody.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["home", "src", "run"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let config = "[user]\n\tname = A User\n\temail = user@example.org\n[init]\n\tdefaultBranch = main\n\
                      [protocol \"file\"]\n\tallow = always\n";
        fs::write(root.join("home/gitconfig"), config).unwrap();
        let filters = filters(&root).bind_to_scope();
        Desk { root, as_nobody: false, _filters: filters, _directory: directory }
    }

    /// The same desk, now of a user to whom permissions apply. Call it last: whatever is made later is the test's own.
    pub(crate) fn of_nobody(mut self) -> Desk {
        self.as_nobody = is_root();
        if self.as_nobody {
            let owner = format!("{NOBODY}:{NOBODY}");
            let given =
                Command::new("chown").args(["--recursive", "--no-dereference", &owner]).arg(&self.root).status();
            assert!(given.unwrap().success(), "cannot give the desk away");
        }
        self
    }

    /// The directory that everything of the desk is in.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The main checkout of the repository.
    pub(crate) fn repo(&self) -> PathBuf {
        self.root.join("src/blog")
    }

    /// Where its worktrees go.
    pub(crate) fn worktrees(&self) -> PathBuf {
        self.root.join("src/blog-wt")
    }

    /// Where claims and locks are.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("home/state/sandbox")
    }

    /// The socket that commands are told to use.
    pub(crate) fn socket(&self) -> PathBuf {
        self.root.join("run/docker.sock")
    }

    /// An engine behind the desk's socket, as good as an engine can be that only answers questions.
    pub(crate) fn engine(&self) -> FakeEngine {
        FakeEngine::start(&self.socket())
    }

    /// Writes a file, and the directories that lead to it.
    pub(crate) fn write(&self, path: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs git and gives what it printed, trimmed.
    pub(crate) fn git(&self, directory: &Path, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.env_clear().envs(self.environment()).current_dir(directory).args(args);
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits one file.
    pub(crate) fn commit(&self, directory: &Path, file: &str, text: &str) {
        fs::write(directory.join(file), text).unwrap();
        self.git(directory, &["add", "--force", "--", file]);
        self.git(directory, &["commit", "--quiet", "--message", &format!("write {file}")]);
    }

    /// Everything that commands see of the world outside their arguments.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let place = |relative: &str| self.root.join(relative).display().to_string();
        vec![
            ("HOME", place("home")),
            ("XDG_STATE_HOME", place("home/state")),
            ("XDG_CONFIG_HOME", place("home/config")),
            ("GIT_CONFIG_GLOBAL", place("home/gitconfig")),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_AUTHOR_DATE", "2030-01-01T00:00:00Z".into()),
            ("GIT_COMMITTER_DATE", "2030-01-01T00:00:00Z".into()),
            ("DOCKER_HOST", format!("unix://{}", place("run/docker.sock"))),
            ("PATH", PATH.into()),
            ("TERM", "dumb".into()),
            ("NO_COLOR", "1".into()),
            ("COLUMNS", "100".into()),
            ("TZ", "UTC".into()),
            ("LC_ALL", "C".into()),
        ]
    }
}

/// What differs from one run to the next.
fn filters(root: &Path) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(&root.display().to_string().replace('.', r"\."), "[DESK]");
    settings.add_filter(r"\b[0-9a-f]{40}\b", "[COMMIT]");
    settings.add_filter(r"\b[0-9a-f]{16}\.lock\b", "[HASH].lock");
    settings
}

/// Hides, as long as the answer lives, something more that differs from one run to the next.
pub(crate) fn hiding(pattern: &str, name: &str) -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(pattern, name);
    settings.bind_to_scope()
}

/// Whether the test runs as root. Whose `/proc/self` is, we are.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}
