//! Whether the git program is new enough.

use super::Repo;
use super::program::Program;
use crate::error::{Error, Kind, Result};

/// The oldest git that does all we ask of it.
pub const OLDEST_VERSION: (u32, u32, u32) = (2, 38, 0);

impl Repo {
    /// The version of the git program.
    pub async fn version(&self) -> Result<(u32, u32, u32)> {
        let said = Program::within(self.common_dir()).arg("version").stdout("cannot ask git for its version").await?;
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        parse(&said).ok_or_else(|| Error::new(Kind::Git, format!("cannot read a version in {said:?}")))
    }

    /// Fails with [`Kind::Git`] when the git program is older than [`OLDEST_VERSION`].
    pub async fn check_version(&self) -> Result<()> {
        check(self.version().await?)
    }
}

fn check(version: (u32, u32, u32)) -> Result<()> {
    if version >= OLDEST_VERSION {
        return Ok(());
    }
    let (major, minor, patch) = version;
    let (wanted_major, wanted_minor, _) = OLDEST_VERSION;
    Err(Error::new(Kind::Git, format!("git {major}.{minor}.{patch} is too old"))
        .hint(format!("install git {wanted_major}.{wanted_minor} or newer")))
}

/// `git version 2.39.5 (Apple Git-154)`, `git version 2.48.0.rc1`, `git version 2.48.GIT`.
fn parse(said: &str) -> Option<(u32, u32, u32)> {
    let number = said.strip_prefix("git version ")?.split_whitespace().next()?;
    let mut parts = number.split('.').map(str::parse::<u32>);
    let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
    Some((major, minor, parts.next().and_then(Result::ok).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::fixture::Scratch;

    #[test]
    fn every_vendors_version_is_understood() {
        assert_eq!(parse("git version 2.47.3"), Some((2, 47, 3)));
        assert_eq!(parse("git version 2.39.5 (Apple Git-154)"), Some((2, 39, 5)));
        assert_eq!(parse("git version 2.48.0.rc1"), Some((2, 48, 0)));
        assert_eq!(parse("git version 2.48.GIT"), Some((2, 48, 0)));
        assert_eq!(parse("jj 0.30"), None);
    }

    #[test]
    fn an_old_git_is_named_with_the_one_that_is_wanted() {
        assert!(check((2, 38, 0)).is_ok() && check((3, 0, 0)).is_ok());
        let error = check((2, 37, 9)).unwrap_err();
        assert_eq!((error.kind(), error.what()), (Kind::Git, "git 2.37.9 is too old"));
        assert!(error.hints()[0].contains("2.38"));
    }

    #[tokio::test]
    async fn the_git_at_hand_is_new_enough() {
        Scratch::with_commit("myapp").repo().check_version().await.unwrap();
    }
}
