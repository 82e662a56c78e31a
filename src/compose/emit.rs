//! A tree → YAML text that every reader of YAML, old or new, takes for the same tree.
//!
//! The YAML library writes text bare that only some readers take for text (`0123`, `2024-01-01`, `on`). Here all text is
//! quoted but for plain words.

use serde_yaml::Value;

/// Words that some reader takes for something else than text.
const NOT_TEXT: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];

/// Writes a tree in block style.
pub(super) fn emit(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes a value whose first line is already indented.
fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Mapping(mapping) if !mapping.is_empty() => {
            for (at, (key, value)) in mapping.iter().enumerate() {
                indent(if at == 0 { 0 } else { depth }, out);
                out.push_str(&scalar(key));
                out.push(':');
                after_key(value, depth, out);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                indent(if at == 0 { 0 } else { depth }, out);
                out.push_str("- ");
                block(item, depth + 1, out);
            }
        }
        value => {
            out.push_str(&scalar(value));
            out.push('\n');
        }
    }
}

fn after_key(value: &Value, depth: usize, out: &mut String) {
    let nested = match value {
        Value::Mapping(mapping) => !mapping.is_empty(),
        Value::Sequence(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        indent(depth + 1, out);
    } else {
        out.push(' ');
    }
    block(value, depth + 1, out);
}

fn indent(depth: usize, out: &mut String) {
    out.push_str(&"  ".repeat(depth));
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => quoted(text),
        Value::Sequence(_) => "[]".into(),
        Value::Mapping(_) => "{}".into(),
        Value::Null | Value::Tagged(_) => "null".into(),
    }
}

fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !NOT_TEXT.contains(&text.to_ascii_lowercase().as_str())
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            c if c.is_alphanumeric() && u32::from(c) < 0x1_0000 => out.push(c),
            c => {
                out.push_str("\\U");
                out.extend((0..8).rev().filter_map(|at| char::from_digit(u32::from(c) >> (4 * at) & 15, 16)));
            }
        }
    }
    out.push('"');
    out
}
