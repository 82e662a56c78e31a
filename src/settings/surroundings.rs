//! What the process was started with, as far as it speaks to us: our own variables, and where we stand. What speaks to
//! Docker's client or to git (`DOCKER_HOST`, `GIT_SSH_COMMAND`), their doors read themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// The environment, as a value, so that everything else can be given one.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    variables: BTreeMap<String, String>,
    directory: PathBuf,
}

impl Surroundings {
    /// Those of this process. `directory` replaces the current one (`-C`).
    pub fn of_this_process(directory: Option<&Path>) -> Result<Surroundings> {
        let failed = |cause| Error::new(Kind::Files, "cannot tell the current directory").because(cause);
        let current = std::env::current_dir().map_err(failed)?;
        let directory = directory.map_or_else(|| current.clone(), |directory| current.join(directory));
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Surroundings { variables, directory })
    }

    /// The same, standing elsewhere.
    #[must_use]
    pub fn at(&self, directory: &Path) -> Surroundings {
        Surroundings { directory: directory.to_owned(), ..self.clone() }
    }

    /// Where we stand.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A variable; one that is set to nothing counts as not set.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where the user's settings are, if the user has a home.
    #[must_use]
    pub fn config_directory(&self) -> Option<PathBuf> {
        self.xdg("XDG_CONFIG_HOME", ".config")
    }

    /// Where claims and locks are.
    pub fn state_directory(&self) -> Result<PathBuf> {
        self.xdg("XDG_STATE_HOME", ".local/state").ok_or_else(|| {
            Error::new(Kind::Files, "neither HOME nor XDG_STATE_HOME is set, so there is no place for the claims file")
                .hint("set HOME, or XDG_STATE_HOME to a directory you may write to")
        })
    }

    /// As the XDG specification says, relative paths are ignored.
    fn xdg(&self, variable: &str, under_home: &str) -> Option<PathBuf> {
        let given = self.var(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || self.var("HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        given.or_else(|| Some(home()?.join(under_home))).map(|base| base.join("sandbox"))
    }
}
