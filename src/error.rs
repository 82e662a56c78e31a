//! The one error of this crate: what happened, to what, why, and what to do next.
//!
//! Owns the kinds of failure and the exit code of each. Knows nothing of how an error is shown.

use std::fmt;

/// What sort of failure it was. Each has one exit code and one stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something we did not foresee; a bug, or an operating system in trouble.
    Unexpected,
    /// The words on the command line cannot be obeyed together.
    Usage,
    /// A task name that is none.
    TaskName,
    /// A settings file, Compose file or template that cannot be obeyed whole.
    Config,
    /// Not in a git repository, or in one that cannot carry sandboxes.
    Repository,
    /// No commit to start the branch from.
    NoBase,
    /// The git program failed, is missing or too old.
    Git,
    /// There is no sandbox of that name.
    NoSuchSandbox,
    /// Going on would lose work.
    WouldLoseWork,
    /// The default branch, the main checkout: not ours to make or take away.
    Protected,
    /// Something of that name exists and is not ours.
    NotOurs,
    /// Docker Engine cannot be reached, or refuses us.
    Engine,
    /// The engine did not answer in time: what was asked of it may still come.
    NoAnswer,
    /// An engine that is too old for what we ask.
    EngineTooOld,
    /// An engine whose loopback is not ours: tcp, ssh, in a container, in a virtual machine.
    RemoteEngine,
    /// An image is neither here, nor to be pulled, nor among our recipes.
    Image,
    /// A service ended, or did not become ready in time.
    Service,
    /// A host port or subnet is taken, or none is left.
    Numbers,
    /// Another process is at work on this sandbox.
    Busy,
    /// A file of ours could not be read or written.
    Files,
    /// Two branches cannot be merged as they are.
    Conflict,
    /// There is no snapshot of that name.
    NoSuchSnapshot,
    /// There is a snapshot of that name already.
    SnapshotExists,
    /// Sandboxes stand on the snapshot.
    SnapshotInUse,
    /// Code of a repository that the user has not consented to run.
    Untrusted,
    /// A command of the set-up failed.
    Setup,
    /// A command to be run in a sandbox is no program that may be executed.
    NotExecutable,
    /// A command to be run in a sandbox is not there.
    CommandNotFound,
    /// The user stopped it.
    Interrupted,
}

impl Kind {
    /// Every kind, in the order of their exit codes.
    pub const ALL: [Kind; 29] = [
        Kind::Unexpected,
        Kind::Usage,
        Kind::TaskName,
        Kind::Config,
        Kind::Repository,
        Kind::NoBase,
        Kind::Git,
        Kind::NoSuchSandbox,
        Kind::WouldLoseWork,
        Kind::Protected,
        Kind::NotOurs,
        Kind::Engine,
        Kind::NoAnswer,
        Kind::EngineTooOld,
        Kind::RemoteEngine,
        Kind::Image,
        Kind::Service,
        Kind::Numbers,
        Kind::Busy,
        Kind::Files,
        Kind::Conflict,
        Kind::NoSuchSnapshot,
        Kind::SnapshotExists,
        Kind::SnapshotInUse,
        Kind::Untrusted,
        Kind::Setup,
        Kind::NotExecutable,
        Kind::CommandNotFound,
        Kind::Interrupted,
    ];

    /// The process exit code. Documented in the README and stable.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Unexpected => 1,
            Kind::Usage => 2,
            Kind::TaskName => 3,
            Kind::Config => 4,
            Kind::Repository | Kind::NoBase => 5,
            Kind::Git => 6,
            Kind::NoSuchSandbox => 7,
            Kind::WouldLoseWork => 8,
            Kind::Protected | Kind::NotOurs => 9,
            Kind::Engine | Kind::NoAnswer | Kind::EngineTooOld => 10,
            Kind::RemoteEngine => 11,
            Kind::Image => 12,
            Kind::Service => 13,
            Kind::Numbers => 14,
            Kind::Busy => 15,
            Kind::Files => 16,
            Kind::Conflict => 17,
            Kind::NoSuchSnapshot => 18,
            Kind::SnapshotExists => 19,
            Kind::SnapshotInUse => 20,
            Kind::Untrusted => 21,
            Kind::Setup => 22,
            Kind::NotExecutable => 126,
            Kind::CommandNotFound => 127,
            Kind::Interrupted => 130,
        }
    }

    /// The name in JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Unexpected => "unexpected",
            Kind::Usage => "usage",
            Kind::TaskName => "task-name",
            Kind::Config => "config",
            Kind::Repository => "repository",
            Kind::NoBase => "no-base",
            Kind::Git => "git",
            Kind::NoSuchSandbox => "no-such-sandbox",
            Kind::WouldLoseWork => "would-lose-work",
            Kind::Protected => "protected",
            Kind::NotOurs => "not-ours",
            Kind::Engine => "engine",
            Kind::NoAnswer => "no-answer",
            Kind::EngineTooOld => "engine-too-old",
            Kind::RemoteEngine => "remote-engine",
            Kind::Image => "image",
            Kind::Service => "service",
            Kind::Numbers => "numbers",
            Kind::Busy => "busy",
            Kind::Files => "files",
            Kind::Conflict => "conflict",
            Kind::NoSuchSnapshot => "no-such-snapshot",
            Kind::SnapshotExists => "snapshot-exists",
            Kind::SnapshotInUse => "snapshot-in-use",
            Kind::Untrusted => "untrusted",
            Kind::Setup => "setup",
            Kind::NotExecutable => "not-executable",
            Kind::CommandNotFound => "command-not-found",
            Kind::Interrupted => "interrupted",
        }
    }
}

/// A failure: the thing and the act (`what`), the cause (`source`), the next move (`hints`).
pub struct Error {
    kind: Kind,
    what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    hints: Vec<String>,
}

/// The result of everything fallible in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that has no deeper cause than itself.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Error { kind, what: what.into(), source: None, hints: Vec::new() }
    }

    /// The same error with the deeper cause that was reported to us.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(cause.into());
        self
    }

    /// The same error with one more thing the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error with that, if there is anything.
    #[must_use]
    pub fn hint_if(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Several failures as one.
    pub fn all(errors: impl IntoIterator<Item = Error>) -> Result<()> {
        errors.into_iter().reduce(Error::besides).map_or(Ok(()), Err)
    }

    /// This failure, with another as a hint of it; or that one, where something may still be under way after it alone.
    #[must_use]
    pub fn besides(self, other: Error) -> Error {
        let (mut first, second) = match (self.leaves_work_under_way(), other.leaves_work_under_way()) {
            (false, true) => (other, self),
            _ => (self, other),
        };
        first.hints.push(format!("besides: {second}"));
        let more: Vec<String> = second.hints.into_iter().filter(|hint| !first.hints.contains(hint)).collect();
        first.hints.extend(more);
        first
    }

    /// Whether something may still be under way that was asked for: we stopped waiting for it.
    #[must_use]
    pub fn leaves_work_under_way(&self) -> bool {
        matches!(self.kind, Kind::Interrupted | Kind::NoAnswer)
    }

    /// What sort of failure it was.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The thing and the act, one line.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What the user can do, most useful first.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The chain of causes, outermost first, without the error itself.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let first = self.source.as_deref().map(|s| s as &dyn std::error::Error);
        let mut causes: Vec<String> = Vec::new();
        for cause in std::iter::successors(first, |e| e.source()) {
            let text = cause.to_string();
            // Many libraries repeat their source's text in their own.
            if !causes.last().is_some_and(|outer| outer.contains(&text)) {
                causes.push(text);
            }
        }
        causes
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for cause in self.causes() {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_repeats_its_own_cause_is_shown_once() {
        let inner = std::io::Error::other("connection refused");
        let error = Error::new(Kind::Engine, "cannot reach the engine").because(inner);
        assert_eq!(error.to_string(), "cannot reach the engine: connection refused");
    }
}
