//! The pipeline: texts in, project out.

use serde_yaml::Value;

use super::complaint::Checked;
use super::cursor::Cursor;
use super::document::{Document, documents};
use super::interpolate::{Warning, interpolate};
use super::project::{self, Project};
use super::{check, normalise, position, tags};
use crate::error::{Error, Kind, Result};

/// A Compose file's text and the name that messages call it by.
#[derive(Clone, Copy, Debug)]
pub struct Source<'s> {
    /// The file's name, for messages only.
    pub name: &'s str,
    /// All of the file.
    pub text: &'s str,
}

/// A project and what its author should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The project: checked, normalised.
    pub project: Project,
    /// Variables that were unset and became empty, one entry for each variable and key.
    pub warnings: Vec<Warning>,
}

/// Loads sources, later ones merged over earlier ones by Compose's rules. `lookup` knows the variables.
///
/// Every error is [`Kind::Config`] and names file, line, column and key.
pub fn load(sources: &[Source], lookup: &dyn Fn(&str) -> Option<String>) -> Result<Loaded> {
    let mut all: Vec<Document> = Vec::new();
    for source in sources {
        all.extend(documents(source)?);
    }
    if all.is_empty() {
        return Err(Error::new(Kind::Config, "there is no Compose file to load"));
    }
    override_earlier(&mut all)?;
    let mut warnings = Vec::new();
    let mut project = Project::default();
    for document in &mut all {
        let layer = read(document, lookup, &mut warnings);
        project.layer(layer.map_err(|complaint| position::error(complaint, std::slice::from_ref(document)))?);
    }
    normalise::normalise(&mut project, lookup);
    check::check(&project).map_err(|complaint| position::error(complaint, &all))?;
    Ok(Loaded { project, warnings })
}

fn read(
    document: &mut Document,
    lookup: &dyn Fn(&str) -> Option<String>,
    warnings: &mut Vec<Warning>,
) -> Checked<Project> {
    for warning in interpolate(&mut document.root, document.source.name, lookup)? {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    project::read(&Cursor::root(&document.root))
}

fn override_earlier(documents: &mut [Document]) -> Result<()> {
    for at in 0..documents.len() {
        let (earlier, rest) = documents.split_at_mut(at);
        let Some(document) = rest.first_mut() else { break };
        let mut root: Value = std::mem::take(&mut document.root);
        let overridden = tags::take(&mut root);
        document.root = root;
        let overridden = overridden.map_err(|complaint| position::error(complaint, std::slice::from_ref(document)))?;
        for path in &overridden {
            for document in &mut *earlier {
                tags::forget(&mut document.root, path);
            }
        }
    }
    Ok(())
}
