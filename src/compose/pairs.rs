//! Names with values, as a mapping or as a list of `NAME=value`: environment, labels, options, hosts.

use std::collections::BTreeMap;

use super::complaint::Checked;
use super::cursor::Cursor;

/// Names with values that may be left to whoever runs the project. Values are not repeated in errors: they are secrets.
pub(super) fn optional(cursor: &Cursor) -> Checked<BTreeMap<String, Option<String>>> {
    if cursor.is_mapping() {
        let entry = |(name, value): (&str, Cursor)| Ok((name.to_owned(), value_of(&value)?));
        return cursor.entries()?.into_iter().map(entry).collect();
    }
    let item = |item: &Cursor| {
        let text = item.text()?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        if name.is_empty() { Err(item.complain("the name before `=` is empty")) } else { Ok((name.to_owned(), value)) }
    };
    cursor.items()?.iter().map(item).collect()
}

fn value_of(value: &Cursor) -> Checked<Option<String>> {
    if value.value.is_null() { Ok(None) } else { value.scalar().map(Some) }
}

/// Names with values; one without a value has an empty one.
pub(super) fn plain(cursor: &Cursor) -> Checked<BTreeMap<String, String>> {
    Ok(optional(cursor)?.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect())
}

/// A mapping of names to values, no list.
pub(super) fn options(cursor: &Cursor) -> Checked<BTreeMap<String, String>> {
    if cursor.is_mapping() { plain(cursor) } else { cursor.entries().map(|_| BTreeMap::new()) }
}

/// Hosts with addresses: `host=address`, `host:address`, or a mapping to one address or a list.
pub(super) fn hosts(cursor: &Cursor) -> Checked<BTreeMap<String, Vec<String>>> {
    let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if cursor.is_mapping() {
        for (host, addresses) in cursor.entries()? {
            let addresses = if addresses.is_list() { addresses.items()? } else { vec![addresses] };
            for address in addresses {
                hosts.entry(host.to_owned()).or_default().push(bare(&address.text()?));
            }
        }
        return Ok(hosts);
    }
    for item in cursor.items()? {
        let text = item.text()?;
        let (host, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .filter(|(host, address)| !host.is_empty() && !address.is_empty())
            .ok_or_else(|| item.complain(format!("{text:?} is not of the form host=address")))?;
        hosts.entry(host.to_owned()).or_default().push(bare(address));
    }
    Ok(hosts)
}

/// An IPv6 address may stand in brackets.
fn bare(address: &str) -> String {
    address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address).to_owned()
}
