//! The grammar of `$VAR` and `${VAR…}` in one text.

/// How deep defaults may hold further variables.
const DEPTH_MAX: usize = 32;

/// Who knows the variables, and who hears of those that are unset.
pub(super) struct Scope<'s> {
    pub(super) lookup: &'s dyn Fn(&str) -> Option<String>,
    pub(super) unset: Vec<String>,
}

/// The text with its variables replaced. The error is what is wrong with it.
pub(super) fn expand(text: &str, scope: &mut Scope) -> Result<String, String> {
    expand_to(text, scope, DEPTH_MAX)
}

fn expand_to(text: &str, scope: &mut Scope, depth: usize) -> Result<String, String> {
    if depth == 0 {
        return Err("variables are nested too deep".into());
    }
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        rest = if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            after
        } else if let Some(inner) = after.strip_prefix('{') {
            let end = closing_brace(inner).ok_or("a `${` is not closed")?;
            expanded.push_str(&braced(&inner[..end], scope, depth)?);
            &inner[end + 1..]
        } else {
            let (name, after) = split_name(after);
            if name.is_empty() {
                return Err("a `$` stands before something that is no variable; write `$$` for the sign itself".into());
            }
            expanded.push_str(&plain(name, scope));
            after
        };
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// `VAR`, or `VAR` with an operator: what stands between the braces.
fn braced(inner: &str, scope: &mut Scope, depth: usize) -> Result<String, String> {
    let (name, rest) = split_name(inner);
    if name.is_empty() {
        return Err(format!("`${{{inner}}}` does not begin with the name of a variable"));
    }
    if rest.is_empty() {
        return Ok(plain(name, scope));
    }
    let (colon, operator) = rest.strip_prefix(':').map_or((false, rest), |operator| (true, operator));
    // With a colon, an empty value counts as none.
    let value = (scope.lookup)(name).filter(|value| !(colon && value.is_empty()));
    let mut operators = operator.chars();
    let (sign, word) = (operators.next(), operators.as_str());
    match (sign, value) {
        (Some('-' | '?'), Some(value)) => Ok(value),
        (Some('-'), None) | (Some('+'), Some(_)) => expand_to(word, scope, depth - 1),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), None) if word.is_empty() => Err(format!("the variable {name} is required and not set")),
        (Some('?'), None) => {
            let message = expand_to(word, scope, depth - 1)?;
            Err(format!("the variable {name} is required and not set: {message}"))
        }
        _ => Err(format!("`{rest}` after the variable {name} is no operator; these are: :- - :? ? :+ +")),
    }
}

fn plain(name: &str, scope: &mut Scope) -> String {
    (scope.lookup)(name).unwrap_or_else(|| {
        scope.unset.push(name.to_owned());
        String::new()
    })
}

fn split_name(text: &str) -> (&str, &str) {
    let end = text
        .char_indices()
        .find(|&(at, c)| !(c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit())))
        .map_or(text.len(), |(at, _)| at);
    text.split_at(end)
}

/// The brace that closes the one just before `text`; braces in between come in pairs.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        (open == 0).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> String {
        let lookup = |name: &str| match name {
            "SET" => Some("set".to_owned()),
            "EMPTY" => Some(String::new()),
            "MONEY" => Some("$SET".to_owned()),
            _ => None,
        };
        let mut scope = Scope { lookup: &lookup, unset: Vec::new() };
        let text = expand(text, &mut scope).unwrap_or_else(|what| format!("ERROR {what}"));
        if scope.unset.is_empty() { text } else { format!("{text} UNSET {}", scope.unset.join(",")) }
    }

    #[test]
    fn every_form_of_a_variable_means_what_compose_says() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("$SET-${SET}", "set-set"),
            ("${SET:-d} ${SET-d}", "set set"),
            ("${EMPTY:-d}|${EMPTY-d}", "d|"),
            ("${NONE:-d} ${NONE-d}", "d d"),
            ("${SET:+a} ${SET+a} [${EMPTY:+a}] ${EMPTY+a} [${NONE+a}]", "a a [] a []"),
            ("${SET:?e} ${SET?e} [${EMPTY?e}]", "set set []"),
            ("${NONE:-${EMPTY:-${SET}}}", "set"),
            ("${NONE:-{\"a\":{}}}", "{\"a\":{}}"),
            ("${NONE:-}", ""),
            ("$$SET $${SET}", "$SET ${SET}"),
            ("${NONE:-$$x}", "$x"),
            ("$MONEY", "$SET"),
            ("${SET:-$NONE}", "set"),
            ("a$NONE", "a UNSET NONE"),
        ] {
            assert_eq!(expanded(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_is_an_error() {
        for text in ["$", "$ x", "$1", "${", "${}", "${SET", "${1}", "${SET!}", "${SET:}", "${NONE:?}", "${NONE?why}"] {
            assert!(expanded(text).starts_with("ERROR"), "{text}");
        }
        assert!(expanded("${NONE:?say ${SET}}").ends_with("say set"));
    }

    #[test]
    fn endless_nesting_is_an_error() {
        let text = format!("{}{}", "${A:-".repeat(10_000), "}".repeat(10_000));
        assert!(expanded(&text).contains("too deep"));
    }
}
