//! Where in a file a key stands: line and column, found only once there is something to complain of.
//!
//! The door to the YAML library that keeps positions.

use saphyr::{LoadableYamlNode, MarkedYaml, YamlData};

use super::complaint::{Complaint, Path, Step};
use super::document::Document;
use crate::error::{Error, Kind};

/// How far a path could be followed, and where that is; both count from one.
struct Place {
    steps: usize,
    line: usize,
    column: usize,
}

/// The error for a complaint: it belongs to the last document that says something at its path.
pub(super) fn error(complaint: Complaint, documents: &[Document]) -> Error {
    let places = documents.iter().rev().filter_map(|document| Some((document, place(document, &complaint.path)?)));
    let mut best: Option<(&Document, Place)> = None;
    for (document, place) in places {
        if best.as_ref().is_none_or(|(_, known)| place.steps > known.steps) {
            best = Some((document, place));
        }
    }
    let mut what = match best {
        Some((document, place)) => format!("{}:{}:{}: ", document.source.name, place.line, place.column),
        None => documents.last().map(|document| format!("{}: ", document.source.name)).unwrap_or_default(),
    };
    if !complaint.path.0.is_empty() {
        what += &complaint.path.to_string();
        what += ": ";
    }
    Error::new(Kind::Config, what + &complaint.what).hint_if(complaint.hint)
}

/// Line and column at which this library refuses a text, if it does.
pub(super) fn refused(text: &str) -> Option<(usize, usize)> {
    let error = MarkedYaml::load_from_str(text).err()?;
    Some((error.marker().line(), error.marker().col() + 1))
}

fn place(document: &Document, path: &Path) -> Option<Place> {
    let roots = MarkedYaml::load_from_str(document.source.text).ok()?;
    let mut node = roots.get(document.index)?;
    let mut place = at(node, 0);
    for (taken, step) in path.0.iter().enumerate() {
        let Some((mark, next)) = follow(node, step) else { break };
        place = at(mark, taken + 1);
        node = next;
    }
    Some(place)
}

fn at(node: &MarkedYaml, steps: usize) -> Place {
    Place { steps, line: node.span.start.line(), column: node.span.start.col() + 1 }
}

/// The node to point at, and the node to go on from.
fn follow<'n, 't>(node: &'n MarkedYaml<'t>, step: &Step) -> Option<(&'n MarkedYaml<'t>, &'n MarkedYaml<'t>)> {
    match (&node.data, step) {
        (YamlData::Tagged(_, inner), _) => follow(inner, step),
        (YamlData::Sequence(items), Step::Index(index)) => items.get(*index).map(|item| (item, item)),
        (YamlData::Sequence(items), Step::Key(name)) => {
            items.iter().find(|item| names(item, name)).map(|item| (item, item)).or_else(|| {
                // A list of fragments to merge.
                items.iter().find_map(|item| follow(item, step))
            })
        }
        (YamlData::Mapping(mapping), Step::Key(name)) => {
            let entry = |name: &str| mapping.iter().find(|(key, _)| key.data.as_str() == Some(name));
            entry(name).or_else(|| entry("<<").and_then(|(_, fragment)| follow(fragment, step)))
        }
        _ => None,
    }
}

/// Whether an item of a list is the short or long form of what a mapping would call `name`.
fn names(item: &MarkedYaml, name: &str) -> bool {
    let short = item.data.as_str().map(|text| text.split(['=', ':']).next() == Some(name));
    let source = || item.data.as_mapping_get("source").is_some_and(|source| source.data.as_str() == Some(name));
    short.unwrap_or_else(source)
}
