//! Source files as the checks read them: comments, texts and tests blanked out, every line at its place.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One file of Rust.
pub(crate) struct Source {
    /// Its path from the top of the repository.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// Without comments and the contents of texts.
    pub(crate) code: String,
    /// Without tests, too.
    pub(crate) outside_tests: String,
}

/// A function and how many lines of code it takes: those of a text or a comment are none.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn of(path: &str, text: &str) -> Source {
        let code = blanked(text);
        Source { path: path.to_owned(), text: text.to_owned(), outside_tests: without_tests(&code), code }
    }
}

/// The top of the repository.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a directory, as paths from the top; not what is built, nor git's own.
pub(crate) fn files(below: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut directories: Vec<PathBuf> = vec![top().join(below)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let kind = entry.file_type().unwrap();
            if name == ".git" || (name == "target" && directory == top()) {
                continue;
            }
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() {
                found.insert(entry.path().strip_prefix(top()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.into_iter().collect()
}

/// Every file of Rust below a directory.
pub(crate) fn rust(below: &str) -> Vec<Source> {
    let rust = files(below).into_iter().filter(|path| Path::new(path).extension().is_some_and(|it| it == "rs"));
    rust.map(|path| Source::of(&path, &fs::read_to_string(top().join(&path)).unwrap())).collect()
}

/// Every file of the crate, those left out that are there for tests alone.
pub(crate) fn crate_files() -> Vec<Source> {
    let all = rust("src");
    let tests: BTreeSet<String> = all.iter().flat_map(test_modules).collect();
    let is_test = |path: &str| tests.iter().any(|it| path == format!("{it}.rs") || path.starts_with(&format!("{it}/")));
    all.into_iter().filter(|source| !is_test(&source.path)).collect()
}

/// The modules in files of their own that exist for tests alone, without the ending.
fn test_modules(source: &Source) -> Vec<String> {
    let directory = match source.path.strip_suffix("/mod.rs").or(source.path.strip_suffix("/lib.rs")) {
        Some(directory) => directory,
        None => source.path.strip_suffix(".rs").unwrap(),
    };
    let after = source.code.split("#[cfg(test)]").skip(1);
    let names = after.filter_map(|code| code.trim_start().strip_prefix("mod ")?.split_once([';', '{']));
    let outside = names.filter(|(name, _)| !name.ends_with(' '));
    outside.map(|(name, _)| format!("{directory}/{name}")).collect()
}

/// Where any of these words stands in a text that came of a source: `path:line: word`.
pub(crate) fn find(path: &str, code: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        for word in words.iter().filter(|word| has_word(line, word)) {
            found.push(format!("{path}:{}: {word}", number + 1));
        }
    }
    found
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_a_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (first, last) = (word.chars().next(), word.chars().last());
    line.match_indices(word).any(|(at, _)| {
        let before = part_of_a_name(first) && part_of_a_name(line[..at].chars().last());
        let after = part_of_a_name(last) && part_of_a_name(line[at + word.len()..].chars().next());
        !before && !after
    })
}

/// Every function of a code without comments and texts.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let begins = code[..at].chars().last().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let rest = &code[at + 3..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !begins || name.is_empty() {
            continue;
        }
        // A signature ends at its body, or at a semicolon outside of brackets where it has none.
        let mut depth = 0;
        let body = rest.char_indices().find(|(_, c)| {
            depth += i32::from("([".contains(*c)) - i32::from(")]".contains(*c));
            depth == 0 && "{;".contains(*c)
        });
        let Some((open, '{')) = body else { continue };
        let end = at + 3 + open + block(&rest[open..]);
        let line = code[..at].matches('\n').count() + 1;
        functions.push(Function { name, line, lines: lines_of_code(&code[at..end]) });
    }
    functions
}

fn lines_of_code(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// The length of a block that begins with its brace.
fn block(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// Code without the items that are compiled for tests alone.
fn without_tests(code: &str) -> String {
    let mut left = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        let (before, item) = rest.split_at(at);
        let end = item.find(['{', ';']).map_or(item.len(), |stop| {
            if item[stop..].starts_with('{') { stop + block(&item[stop..]) } else { stop + 1 }
        });
        left.push_str(before);
        left.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    left + rest
}

/// Code with comments and the contents of texts and characters blanked out.
fn blanked(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let named = code.chars().last().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let length = comment(rest).or_else(|| if named { None } else { raw(rest) }).or_else(|| quoted(rest));
        if let Some(length) = length {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    rest.starts_with("/*").then(|| rest.find("*/").map_or(rest.len(), |end| end + 2))
}

/// `r"…"`, `r#"…"#`, and the same of bytes.
fn raw(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = rest.len() - inside.len();
    Some(inside.find(&end).map_or(rest.len(), |at| begin + at + end.len()))
}

/// `"…"` and `'…'`; a lifetime is no character.
fn quoted(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    if quote == '\'' {
        let mut chars = rest.chars().skip(1);
        let (first, second) = (chars.next()?, chars.next()?);
        if first != '\\' && second != '\'' {
            return None;
        }
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if !escaped && c == quote {
            return Some(at + 1);
        }
        escaped = !escaped && c == '\\';
    }
    Some(rest.len())
}
