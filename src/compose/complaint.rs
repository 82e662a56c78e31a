//! What is wrong with a value, and where in the tree: an error that does not know its file yet.

use std::fmt;

/// One step down a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a sequence.
    Index(usize),
}

/// The way from a document's root to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Step>);

impl Path {
    /// The path of a value that only the whole project has.
    pub(super) fn of(keys: &[&str]) -> Path {
        Path(keys.iter().map(|&key| Step::Key(key.to_owned())).collect())
    }

    /// The path of an entry of the mapping here.
    pub(super) fn key(&self, key: &str) -> Path {
        self.with(Step::Key(key.to_owned()))
    }

    /// The path of an item of the sequence here.
    pub(super) fn index(&self, index: usize) -> Path {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Path {
        Path(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// An objection to the value at `path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) path: Path,
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

/// The result of looking at one document.
pub(super) type Checked<T> = Result<T, Complaint>;

impl Complaint {
    pub(super) fn new(path: Path, what: impl Into<String>) -> Complaint {
        Complaint { path, what: what.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Complaint {
        self.hint = Some(hint.into());
        self
    }
}
