//! Lists of plain things.

use std::collections::HashSet;
use std::hash::Hash;

use super::complaint::Checked;
use super::cursor::Cursor;

/// A list of strings.
pub(super) fn texts(cursor: &Cursor) -> Checked<Vec<String>> {
    cursor.items()?.iter().map(Cursor::text).collect()
}

/// A list of strings and numbers, repetitions left out.
pub(super) fn scalars(cursor: &Cursor) -> Checked<Vec<String>> {
    Ok(unique(cursor.items()?.iter().map(Cursor::number_or_text).collect::<Checked<_>>()?))
}

/// One string, or a list of strings, repetitions left out.
pub(super) fn text_or_texts(cursor: &Cursor) -> Checked<Vec<String>> {
    if cursor.as_text().is_some() { Ok(vec![cursor.text()?]) } else { texts(cursor).map(unique) }
}

/// A list of strings, repetitions left out.
pub(super) fn set(cursor: &Cursor) -> Checked<Vec<String>> {
    texts(cursor).map(unique)
}

/// The list with the first of each. A range of ports may be long, hence the set.
pub(super) fn unique<T: Clone + Eq + Hash>(list: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    list.into_iter().filter(|item| seen.insert(item.clone())).collect()
}
