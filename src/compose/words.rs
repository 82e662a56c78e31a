//! A command line in one string → words, as Compose splits it: quotes and backslashes, no shell.

use super::complaint::Checked;
use super::cursor::Cursor;
use super::lists;

/// A command: a list as it stands, or a string to split.
pub(super) fn read(cursor: &Cursor) -> Checked<Vec<String>> {
    match cursor.as_text() {
        Some(text) => split(text).map_err(|what| {
            cursor.complain(what).hint(r#"for a shell's operators write a list: ["sh", "-c", "one && other"]"#)
        }),
        None => lists::texts(cursor),
    }
}

/// Compose drops all that follows an unquoted operator, in silence; here that is an error.
fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => {
                let escaped = letters.next().ok_or("the command ends with a lone backslash")?;
                let escaped = match escaped {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                };
                word.get_or_insert_default().push(escaped);
            }
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ' | '\t' | '\r' | '\n', None) => words.extend(word.take()),
            (';' | '&' | '|' | '<' | '>' | '(' | ')' | '`', None) => {
                return Err(format!("`{letter}` in a command that no shell reads"));
            }
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("a quote in the command is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        for (line, words) in [
            ("redis-server --save 60 1", vec!["redis-server", "--save", "60", "1"]),
            (r#"sh -c "echo 'a b' && c""#, vec!["sh", "-c", "echo 'a b' && c"]),
            (r"a\ b 'c\d' e''f", vec!["a b", r"c\d", "ef"]),
            (r#""" ''"#, vec!["", ""]),
            ("  ", vec![]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn what_only_a_shell_understands_is_refused() {
        for line in ["a && b", "a | b", "a > b", "$(a)", "`a`", "'a", "\"a", "a\\"] {
            assert!(split(line).is_err(), "{line}");
        }
    }
}
