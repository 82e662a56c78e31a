//! `!reset` and `!override`: a later document takes away what earlier ones said, or replaces it whole.

use serde_yaml::{Mapping, Value};

use super::complaint::{Checked, Complaint, Path, Step};

/// Takes the tags out of a document, and gives the paths that earlier documents have no say in.
pub(super) fn take(root: &mut Value) -> Checked<Vec<Path>> {
    let mut overridden = Vec::new();
    walk(root, &Path::default(), &mut overridden)?;
    Ok(overridden)
}

fn walk(value: &mut Value, path: &Path, overridden: &mut Vec<Path>) -> Checked<()> {
    match value {
        Value::Mapping(mapping) => {
            mapping.retain(|key, value| {
                let reset = matches!(value, Value::Tagged(tagged) if tagged.tag == "reset");
                if let (true, Some(key)) = (reset, key.as_str()) {
                    overridden.push(path.key(key));
                }
                !reset
            });
            children(mapping, path, overridden)
        }
        Value::Sequence(items) => {
            items.iter_mut().enumerate().try_for_each(|(at, item)| walk(item, &path.index(at), overridden))
        }
        Value::Tagged(tagged) if tagged.tag == "override" => {
            overridden.push(path.clone());
            *value = std::mem::take(&mut tagged.value);
            walk(value, path, overridden)
        }
        Value::Tagged(tagged) => {
            Err(Complaint::new(path.clone(), format!("the tag {} is not supported here", tagged.tag))
                .hint("`!reset` and `!override` are, on the value of a key"))
        }
        _ => Ok(()),
    }
}

fn children(mapping: &mut Mapping, path: &Path, overridden: &mut Vec<Path>) -> Checked<()> {
    mapping.iter_mut().try_for_each(|(key, value)| walk(value, &path.key(key.as_str().unwrap_or_default()), overridden))
}

/// Makes an earlier document forget what it says at `path`.
pub(super) fn forget(root: &mut Value, path: &Path) {
    let Some((last, way)) = path.0.split_last() else { return };
    let parent = way.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get_mut(key.as_str()),
        Step::Index(_) => None,
    });
    let Step::Key(key) = last else { return };
    match parent {
        Some(Value::Mapping(mapping)) => drop(mapping.remove(key.as_str())),
        // The list form of a mapping: `- KEY=value`, or `- KEY`.
        Some(Value::Sequence(items)) => items.retain(|item| {
            let name = item.as_str().map(|text| text.split_once('=').map_or(text, |(name, _)| name));
            name != Some(key)
        }),
        _ => {}
    }
}
