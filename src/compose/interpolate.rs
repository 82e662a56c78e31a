//! Variables in the values of a document. Keys are left alone, and so are fragments under a top-level `x-…`, which
//! mean nothing by themselves.

use std::fmt;

use serde_yaml::Value;

use super::complaint::{Checked, Complaint, Path};
use super::template::{Scope, expand};

/// A variable that is not set, has no default, and so became empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The variable.
    pub variable: String,
    /// The file that asks for it.
    pub file: String,
    /// The key whose value asks for it, as in `services.web.image`.
    pub key: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: the variable {} is not set and became empty", self.file, self.key, self.variable)
    }
}

/// Replaces the variables of a document in place; gives those that are unset.
pub(super) fn interpolate(
    root: &mut Value,
    file: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Checked<Vec<Warning>> {
    let mut warnings = Vec::new();
    let mut visit = |text: &mut String, path: &Path| {
        let mut scope = Scope { lookup, unset: Vec::new() };
        *text = expand(text, &mut scope).map_err(|what| Complaint::new(path.clone(), what))?;
        let warning = |variable| Warning { variable, file: file.to_owned(), key: path.to_string() };
        warnings.extend(scope.unset.into_iter().map(warning));
        Ok(())
    };
    walk(root, &Path::default(), &mut visit)?;
    Ok(warnings)
}

fn walk(value: &mut Value, path: &Path, visit: &mut dyn FnMut(&mut String, &Path) -> Checked<()>) -> Checked<()> {
    match value {
        Value::String(text) if text.contains('$') => visit(text, path),
        Value::Sequence(items) => {
            items.iter_mut().enumerate().try_for_each(|(at, item)| walk(item, &path.index(at), visit))
        }
        Value::Mapping(mapping) => mapping.iter_mut().try_for_each(|(key, value)| match key.as_str() {
            Some(key) if path.0.is_empty() && key.starts_with("x-") => Ok(()),
            key => walk(value, &path.key(key.unwrap_or_default()), visit),
        }),
        _ => Ok(()),
    }
}
