//! The name of a commit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A commit's full object name in hex: 40 digits, or 64 in a SHA-256 repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl CommitId {
    /// Parses a full name; `None` for abbreviations and anything else.
    #[must_use]
    pub fn parse(hex: &str) -> Option<CommitId> {
        let full = matches!(hex.len(), 40 | 64) && hex.bytes().all(|b| b.is_ascii_hexdigit());
        full.then(|| CommitId(hex.to_ascii_lowercase()))
    }

    /// A name that libgit2 gave, which is always full.
    pub(super) fn full(hex: String) -> CommitId {
        CommitId(hex)
    }

    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first ten digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for CommitId {
    type Error = String;

    fn try_from(hex: String) -> Result<CommitId, String> {
        CommitId::parse(&hex).ok_or_else(|| format!("{hex:?} is not the full name of a commit"))
    }
}

impl From<CommitId> for String {
    fn from(commit: CommitId) -> String {
        commit.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_name_is_one() {
        assert!(CommitId::parse(&"a".repeat(40)).is_some());
        assert!(CommitId::parse(&"0F".repeat(32)).is_some());
        assert!(CommitId::parse(&"a".repeat(39)).is_none());
        assert!(CommitId::parse(&"g".repeat(40)).is_none());
    }
}
