//! The task's name and everything that is derived from it.
//!
//! Pure. Owns the rules of names: what a task may be called, and what its directory, Compose project, databases and
//! host are called in turn. Does not know which names are taken; whoever knows asks for the name with a hash.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};
use crate::hex::hex;

/// The longest task name, in bytes.
pub const TASK_NAME_MAX_BYTES: usize = 200;

/// The longest Compose project name for which `PROJECT_development` still is a Postgres identifier (63 bytes).
const PROJECT_MAX_BYTES: usize = 63 - "_development".len();

/// The longest label of a host name, in bytes (RFC 1035).
const DNS_LABEL_MAX_BYTES: usize = 63;

/// The longest directory name that leaves room for git's own suffixes, in bytes.
const DIRECTORY_MAX_BYTES: usize = 100;

/// The name of a task, and of its branch: `fix-login`, `feature/auth`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskName(String);

impl TaskName {
    /// Parses a name. Refuses what git refuses as a branch, and what would surprise in a shell, a path or a URL.
    pub fn parse(name: &str) -> Result<TaskName> {
        match objection(name) {
            None => Ok(TaskName(name.to_owned())),
            Some(objection) => {
                let shown = if name.len() > 60 {
                    format!("{}…", name.chars().take(60).collect::<String>())
                } else {
                    name.into()
                };
                Err(Error::new(Kind::TaskName, format!("{shown:?} cannot be the name of a task: {objection}"))
                    .hint("use letters, digits and . _ - / + # @, as in fix-login or feature/auth"))
            }
        }
    }

    /// The name as it was given; also the branch's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn objection(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/+#@".contains(c);
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > TASK_NAME_MAX_BYTES {
        return Some("it is longer than 200 bytes");
    }
    if let Some(c) = name.chars().find(|&c| !allowed(c)) {
        return Some(match c {
            c if c.is_control() => "it contains a control character",
            c if !c.is_ascii() => "it contains a character outside ASCII",
            c if c.is_whitespace() => "it contains a space",
            _ => "it contains a character with a meaning of its own in git or a shell",
        });
    }
    if name == "HEAD" || name == "@" {
        return Some("git means something else by it");
    }
    name.split('/').find_map(|part| match part {
        "" => Some("it has an empty part: a slash at an end, or two in a row"),
        "." | ".." => Some("it has a part that leads out of its directory"),
        _ if part.eq_ignore_ascii_case(".git") => Some("it has a part called .git"),
        _ if part.starts_with('.') => Some("a part of it begins with a dot"),
        _ if part.starts_with('-') => Some("a part of it begins with a dash"),
        _ if part.ends_with('.') => Some("a part of it ends with a dot"),
        _ if part.contains("..") => Some("it contains two dots in a row"),
        _ if Path::new(part).extension().is_some_and(|e| e.eq_ignore_ascii_case("lock")) => {
            Some("a part of it ends with .lock, which git keeps for itself")
        }
        _ => None,
    })
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TaskName {
    type Error = Error;
    fn try_from(name: String) -> Result<TaskName> {
        TaskName::parse(&name)
    }
}

impl From<TaskName> for String {
    fn from(task: TaskName) -> String {
        task.0
    }
}

impl std::str::FromStr for TaskName {
    type Err = Error;
    fn from_str(name: &str) -> Result<TaskName> {
        TaskName::parse(name)
    }
}

/// Which sandbox it is, on this machine: the repository's git common directory, canonical, and the task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// The canonical path of the git common directory.
    pub repo: String,
    /// The task.
    pub task: TaskName,
}

impl Identity {
    fn digest(&self) -> [u8; 32] {
        Sha256::new().chain_update(&self.repo).chain_update([0]).chain_update(self.task.as_str()).finalize().into()
    }

    /// Six hexadecimal digits that tell this sandbox from another of the same plain name.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(&self.digest()[..3])
    }

    /// A number that spreads sandboxes over slots, the same every time.
    #[must_use]
    pub fn spread(&self) -> u64 {
        self.digest()[3..11].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}

/// Every name a sandbox goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The worktree's directory, under the directory of worktrees.
    pub directory: String,
    /// `WORKTREE_NAME`: the task, folded to an identifier.
    pub worktree_name: String,
    /// `COMPOSE_PROJECT_NAME`.
    pub project: String,
    /// `DB_NAME`.
    pub database: String,
    /// `TEST_DB_NAME`.
    pub test_database: String,
    /// The host in `APP_URL`: `TASK.localhost`.
    pub host: String,
}

impl Names {
    /// The names of a task in a repository called `repo`. Names over a limit are cut and carry the hash.
    #[must_use]
    pub fn plain(repo: &str, identity: &Identity) -> Names {
        Names::derive(repo, identity, false)
    }

    /// The names of one that came later to a plain name: all carry the hash.
    #[must_use]
    pub fn hashed(repo: &str, identity: &Identity) -> Names {
        Names::derive(repo, identity, true)
    }

    /// The container of a service, as Compose names it.
    #[must_use]
    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.project)
    }

    fn derive(repo: &str, identity: &Identity, hashed: bool) -> Names {
        let task = identity.task.as_str();
        let suffix = identity.hash();
        let name = |plain: String, separator: char, max_bytes: usize| fit(plain, hashed, separator, &suffix, max_bytes);
        let worktree_name = name(fold(task, '_'), '_', PROJECT_MAX_BYTES);
        let project = name(format!("{}_{}", repository_name(repo), fold(task, '_')), '_', PROJECT_MAX_BYTES);
        Names {
            directory: name(task.replace('/', "-"), '-', DIRECTORY_MAX_BYTES),
            database: format!("{project}_development"),
            test_database: format!("{project}_test"),
            host: format!("{}.localhost", name(dns_label(task), '-', DNS_LABEL_MAX_BYTES)),
            worktree_name,
            project,
        }
    }
}

/// The part of a project name that comes from the repository: what Compose accepts, never empty.
#[must_use]
pub fn repository_name(directory: &str) -> String {
    let folded = fold(directory, '_');
    let name = folded.trim_start_matches('_');
    if name.is_empty() { "repo".into() } else { name.into() }
}

/// A label neither begins nor ends with a dash, and is not empty.
fn dns_label(task: &str) -> String {
    let folded = fold(task, '-');
    let label = folded.trim_matches('-');
    if label.is_empty() { "task".into() } else { label.into() }
}

fn fold(text: &str, replacement: char) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { replacement }).collect()
}

fn fit(plain: String, hashed: bool, separator: char, suffix: &str, max_bytes: usize) -> String {
    if !hashed && plain.len() <= max_bytes {
        return plain;
    }
    let mut name = plain;
    // All of it is ASCII: a task is, and what is folded is.
    name.truncate(max_bytes - suffix.len() - 1);
    format!("{}{separator}{suffix}", name.trim_end_matches(separator))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(task: &str) -> Identity {
        Identity { repo: "/src/myapp/.git".into(), task: TaskName::parse(task).unwrap() }
    }

    #[test]
    fn names_follow_the_task() {
        let names = Names::plain("myapp", &identity("feature/Bugfix-login"));
        assert_eq!(names.directory, "feature-Bugfix-login");
        assert_eq!(names.worktree_name, "feature_bugfix_login");
        assert_eq!(names.project, "myapp_feature_bugfix_login");
        assert_eq!(names.database, "myapp_feature_bugfix_login_development");
        assert_eq!(names.test_database, "myapp_feature_bugfix_login_test");
        assert_eq!(names.host, "feature-bugfix-login.localhost");
        assert_eq!(Names::plain("myapp", &identity("_")).host, "task.localhost");
    }

    #[test]
    fn a_later_holder_of_a_name_carries_a_hash() {
        let names = Names::hashed("myapp", &identity("a-b"));
        let hash = identity("a-b").hash();
        assert_eq!(names.project, format!("myapp_a_b_{hash}"));
        assert_eq!(names.directory, format!("a-b-{hash}"));
        assert_ne!(names.project, Names::hashed("myapp", &identity("a_b")).project);
    }

    #[test]
    fn names_stay_within_the_limits_of_postgres_and_dns() {
        let long = identity(&"x".repeat(TASK_NAME_MAX_BYTES));
        let names = Names::plain("myapp", &long);
        assert_eq!(names.database.len(), 63);
        assert!(names.project.ends_with(&long.hash()));
        assert!(names.host.len() <= DNS_LABEL_MAX_BYTES + ".localhost".len());
        assert!(names.directory.len() <= DIRECTORY_MAX_BYTES);
    }

    #[test]
    fn repository_names_become_what_compose_accepts() {
        for (directory, name) in
            [("MyApp", "myapp"), ("_foo", "foo"), ("my.app", "my_app"), ("", "repo"), ("日本", "repo")]
        {
            assert_eq!(repository_name(directory), name);
        }
    }

    #[test]
    fn a_name_that_git_a_shell_or_a_path_would_misread_is_refused() {
        let long = "x".repeat(TASK_NAME_MAX_BYTES + 1);
        let bad = [
            "", ".", "..", "../x", "x/..", "-x", "a/-b", "a b", ".git", "a/.GIT", "a\nb", "a\u{7f}", "naïve", "a//b",
            "/a", "a/", "a.lock", "a..b", "a.", ".a", "HEAD", "@", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b",
            "$(x)", "a;b", &long,
        ];
        for name in bad {
            let error = TaskName::parse(name).unwrap_err();
            assert_eq!(error.kind(), Kind::TaskName, "{name:?}");
        }
    }

    #[test]
    fn ordinary_branch_names_are_accepted() {
        for name in ["fix-login", "feature/auth", "JIRA-123_x", "v1.2", "user@host", "a+b", "fix#12"] {
            assert_eq!(TaskName::parse(name).unwrap().as_str(), name);
        }
    }
}
