//! Whether a sandbox may go. PURE.

use std::fmt;

/// What speaks for removing a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its work has arrived on the default branch; how.
    Landed(String),
    /// Its time is over; since when.
    Expired(String),
    /// Its worktree's directory is gone.
    DirectoryGone,
    /// An `up` was cut short.
    HalfMade,
    /// Its worktree, or its repository, is gone; which.
    Orphaned(String),
    /// Nothing but its numbers is left.
    ClaimAlone,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Landed(how) => f.write_str(how),
            Reason::Expired(since) => write!(f, "expired at {since}"),
            Reason::DirectoryGone => f.write_str("its worktree's directory is gone"),
            Reason::HalfMade => f.write_str("half-made: its `up` did not come to an end"),
            Reason::Orphaned(what) => write!(f, "orphaned: {what}"),
            Reason::ClaimAlone => f.write_str("nothing but its claim is left"),
        }
    }
}

/// What is known of a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What speaks for removing it.
    pub reasons: Vec<Reason>,
    /// Why nobody can tell whether it is done with, where that is so.
    pub unknown: Option<&'static str>,
    /// What would be lost, a lock included.
    pub losses: Vec<String>,
    /// Who works in it.
    pub at_work: Vec<String>,
    /// Another command that is at work on it.
    pub held_by: Option<String>,
}

/// Whether it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go, and why.
    Remove(String),
    /// It stays, and why.
    Keep(String),
}

impl Facts {
    /// Decides. In doubt it stays.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if let Some(why) = self.unknown {
            return Verdict::Keep(format!("unknown: {why}"));
        }
        let Some(reason) = self.reasons.first() else {
            return Verdict::Keep("neither merged nor expired".into());
        };
        let against = self.losses.iter().cloned();
        let against = against.chain(self.at_work.iter().map(|process| format!("at work in it: {process}")));
        let against: Vec<String> = against.chain(self.held_by.clone()).collect();
        if against.is_empty() {
            Verdict::Remove(reason.to_string())
        } else {
            Verdict::Keep(format!("{reason}; but {}", against.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts { reasons: vec![Reason::Landed("merged into main".into())], ..Facts::default() }
    }

    #[test]
    fn what_has_a_reason_and_nothing_against_it_goes() {
        assert_eq!(facts().verdict(), Verdict::Remove("merged into main".into()));
        assert!(matches!(Facts::default().verdict(), Verdict::Keep(_)));
    }

    #[test]
    fn what_is_unknown_dirty_locked_or_in_use_stays() {
        let stays = |facts: Facts, why: &str| match facts.verdict() {
            Verdict::Keep(text) => assert!(text.contains(why), "{text}"),
            Verdict::Remove(text) => panic!("removed: {text}"),
        };
        stays(Facts { unknown: Some("its disk is away"), ..facts() }, "unknown: its disk is away");
        stays(Facts { losses: vec!["it is locked: demo".into()], ..facts() }, "merged into main; but it is locked");
        stays(Facts { at_work: vec!["vim (pid 7)".into()], ..facts() }, "at work in it: vim");
        stays(Facts { held_by: Some("`sandbox up x` is at work".into()), ..facts() }, "`sandbox up x`");
    }
}
