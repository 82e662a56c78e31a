//! YAML text → documents: one tree each, with merge keys (`<<`) resolved.
//!
//! The door to the YAML library for reading. It refuses duplicate keys, undefined aliases, trees that are too deep and
//! aliases that multiply, so what follows may recurse.

use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use super::complaint::{Checked, Complaint, Path};
use super::load::Source;
use super::position;
use crate::error::{Error, Kind, Result};

/// More open brackets than any file has; the parser's time grows with their square, and 100,000 take it minutes.
const BRACKETS_MAX: usize = 2_000;

/// One YAML document of a source.
pub(super) struct Document<'s> {
    pub(super) source: Source<'s>,
    /// Which document of the source, from zero.
    pub(super) index: usize,
    pub(super) root: Value,
}

/// The documents of a source, empty ones left out.
pub(super) fn documents<'s>(source: &Source<'s>) -> Result<Vec<Document<'s>>> {
    if bracket_depth(source.text) > BRACKETS_MAX {
        return Err(Error::new(Kind::Config, format!("{}: the brackets are nested too deep", source.name)));
    }
    let mut documents = Vec::new();
    for (index, deserializer) in serde_yaml::Deserializer::from_str(source.text).enumerate() {
        let root = Value::deserialize(deserializer).map_err(|error| invalid(source, &error))?;
        if root.is_null() {
            continue;
        }
        let mut document = Document { source: *source, index, root };
        let root = std::mem::take(&mut document.root);
        document.root =
            merge_keys(root, &Path::default()).map_err(|c| position::error(c, std::slice::from_ref(&document)))?;
        documents.push(document);
    }
    if documents.is_empty() {
        return Err(Error::new(Kind::Config, format!("{}: the file is empty", source.name)));
    }
    Ok(documents)
}

/// The deepest nesting of brackets, quoted ones counted too.
fn bracket_depth(text: &str) -> usize {
    let mut depth: usize = 0;
    let depths = text.bytes().map(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth
    });
    depths.max().unwrap_or_default()
}

fn invalid(source: &Source, error: &serde_yaml::Error) -> Error {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    let reported = error.location().map(|at| (at.line(), at.column()));
    // The library points at the mapping, not at the key that is there twice.
    let repeated = text.contains("duplicate entry").then(|| position::refused(source.text)).flatten();
    let place = repeated.or(reported).map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
    Error::new(Kind::Config, format!("{}{place}: {what}", source.name))
}

/// Resolves `<<`, innermost first, so that a fragment may build on another.
fn merge_keys(value: Value, path: &Path) -> Checked<Value> {
    match value {
        Value::Sequence(items) => {
            let item = |(at, item)| merge_keys(item, &path.index(at));
            Ok(Value::Sequence(items.into_iter().enumerate().map(item).collect::<Checked<_>>()?))
        }
        Value::Mapping(mapping) => merged_mapping(mapping, path).map(Value::Mapping),
        Value::Tagged(mut tagged) => {
            tagged.value = merge_keys(std::mem::take(&mut tagged.value), path)?;
            Ok(Value::Tagged(tagged))
        }
        scalar => Ok(scalar),
    }
}

fn merged_mapping(mapping: Mapping, path: &Path) -> Checked<Mapping> {
    let mut merged = Mapping::new();
    let mut fragments = Vec::new();
    for (key, value) in mapping {
        let name = key.as_str().map(str::to_owned);
        let value = merge_keys(value, &path.key(name.as_deref().unwrap_or_default()))?;
        if name.as_deref() == Some("<<") {
            fragments = match value {
                Value::Sequence(items) => items,
                other => vec![other],
            };
        } else {
            merged.insert(key, value);
        }
    }
    for fragment in fragments {
        let Value::Mapping(fragment) = fragment else {
            return Err(Complaint::new(path.key("<<"), "expected a mapping, or a list of mappings, to merge"));
        };
        for (key, value) in fragment {
            merged.entry(key).or_insert(value);
        }
    }
    Ok(merged)
}
