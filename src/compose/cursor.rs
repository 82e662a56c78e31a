//! A place in a document while it is read: the value there and the way to it, so that every objection can say where.
//!
//! Owns the rules of scalars: after interpolation a number or a flag may have come as text, as Compose allows.

use serde_yaml::{Number, Value};

use super::complaint::{Checked, Complaint, Path};
use super::suggest::nearest;

/// A value and the way to it.
pub(super) struct Cursor<'v> {
    pub(super) value: &'v Value,
    pub(super) path: Path,
}

impl<'v> Cursor<'v> {
    pub(super) fn root(value: &'v Value) -> Cursor<'v> {
        Cursor { value, path: Path::default() }
    }

    pub(super) fn complain(&self, what: impl Into<String>) -> Complaint {
        Complaint::new(self.path.clone(), what)
    }

    /// The same place, with an objection that came without one.
    pub(super) fn checked<T>(&self, result: Result<T, String>) -> Checked<T> {
        result.map_err(|what| self.complain(what))
    }

    fn expected(&self, wanted: &str) -> Complaint {
        self.complain(format!("expected {wanted}, found {}", kind(self.value)))
    }

    /// A mapping of which all keys are known.
    pub(super) fn fields(&self) -> Checked<Fields<'v>> {
        Ok(Fields { path: self.path.clone(), entries: self.entries()?, known: Vec::new() })
    }

    /// A mapping whose keys the user chose.
    pub(super) fn entries(&self) -> Checked<Vec<(&'v str, Cursor<'v>)>> {
        let Value::Mapping(mapping) = self.value else { return Err(self.expected("a mapping")) };
        let entry = |(key, value): (&'v Value, &'v Value)| match key {
            Value::String(key) => Ok((key.as_str(), Cursor { value, path: self.path.key(key) })),
            other => Err(self.complain(format!("expected keys that are text, found {}", kind(other)))),
        };
        mapping.iter().map(entry).collect()
    }

    /// A sequence.
    pub(super) fn items(&self) -> Checked<Vec<Cursor<'v>>> {
        let Value::Sequence(items) = self.value else { return Err(self.expected("a list")) };
        Ok(items.iter().enumerate().map(|(at, value)| Cursor { value, path: self.path.index(at) }).collect())
    }

    pub(super) fn is_mapping(&self) -> bool {
        self.value.is_mapping()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_sequence()
    }

    /// A string, borrowed, if it is one.
    pub(super) fn as_text(&self) -> Option<&'v str> {
        self.value.as_str()
    }

    /// A string.
    pub(super) fn text(&self) -> Checked<String> {
        self.as_text().map(str::to_owned).ok_or_else(|| self.expected("text"))
    }

    /// A string, number or flag, as text.
    pub(super) fn scalar(&self) -> Checked<String> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(show(number)),
            Value::Bool(flag) => Ok(flag.to_string()),
            _ => Err(self.expected("text")),
        }
    }

    /// A string or number, as text.
    pub(super) fn number_or_text(&self) -> Checked<String> {
        if self.value.is_bool() { Err(self.expected("text or a number")) } else { self.scalar() }
    }

    /// True or false.
    pub(super) fn flag(&self) -> Checked<bool> {
        match self.value {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) => match text.to_lowercase().as_str() {
                "true" | "yes" | "y" | "on" | "1" => Ok(true),
                "false" | "no" | "n" | "off" | "0" => Ok(false),
                _ => Err(self.complain(format!("expected true or false, found {text:?}"))),
            },
            _ => Err(self.expected("true or false")),
        }
    }

    /// A whole number in the range of `T`.
    pub(super) fn integer<T: TryFrom<i64>>(&self) -> Checked<T> {
        let number = match self.value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => return Err(self.expected("a whole number")),
        };
        let number = number.ok_or_else(|| self.expected("a whole number"))?;
        T::try_from(number).map_err(|_| self.complain(format!("{number} is out of range")))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Checked<T> {
        let text = self.text()?;
        choices.iter().find(|(word, _)| *word == text).map(|&(_, choice)| choice).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|&(word, _)| word).collect();
            self.complain(format!("expected one of {}, found {text:?}", words.join(", ")))
        })
    }
}

/// A number as Compose shows it: `1.50` and `1e3` become `1.5` and `1000`.
fn show(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float.to_string(),
        _ => number.to_string(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(_) => "a tagged value",
    }
}

/// A mapping that is taken apart key by key; what is left over was not known.
pub(super) struct Fields<'v> {
    path: Path,
    entries: Vec<(&'v str, Cursor<'v>)>,
    known: Vec<&'static str>,
}

impl<'v> Fields<'v> {
    /// The value of a key that is there and not null.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Cursor<'v>> {
        self.known.push(key);
        let at = self.entries.iter().position(|(name, _)| *name == key)?;
        let (_, cursor) = self.entries.remove(at);
        (!cursor.value.is_null()).then_some(cursor)
    }

    /// The value of a key, read, if it is there.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Cursor<'v>) -> Checked<T>,
    ) -> Checked<Option<T>> {
        self.take(key).as_ref().map(read).transpose()
    }

    /// The value of a key, read, or what stands for its absence.
    pub(super) fn or_default<T: Default>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Cursor<'v>) -> Checked<T>,
    ) -> Checked<T> {
        Ok(self.read(key, read)?.unwrap_or_default())
    }

    /// The value of a key that must be there.
    pub(super) fn require<T>(&mut self, key: &'static str, read: impl FnOnce(&Cursor<'v>) -> Checked<T>) -> Checked<T> {
        self.read(key, read)?.ok_or_else(|| Complaint::new(self.path.clone(), format!("`{key}` is missing")))
    }

    /// Keys that Compose knows and this program cannot obey.
    pub(super) fn refuse(&mut self, keys: &[&'static str]) -> Checked<()> {
        match keys.iter().find_map(|&key| self.take(key).map(|cursor| (key, cursor))) {
            Some((key, cursor)) => Err(cursor.complain(format!("`{key}` is not supported yet"))),
            None => Ok(()),
        }
    }

    /// Keys that mean nothing here, whatever they say.
    pub(super) fn ignore(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.take(key);
        }
    }

    /// Complains of what is left, extensions (`x-…`) excepted.
    pub(super) fn finish(self) -> Checked<()> {
        for (key, cursor) in &self.entries {
            // An extension can only be a slip for an extension: `x-ports` is how people switch `ports` off.
            let extension = key.starts_with("x-");
            let alike: Vec<&str> =
                self.known.iter().copied().filter(|known| known.starts_with("x-") == extension).collect();
            let meant = nearest(key, &alike);
            if extension && meant.is_none() {
                continue;
            }
            let complaint = cursor.complain(format!("unknown key `{key}`"));
            return Err(match meant {
                Some(meant) => complaint.hint(format!("did you mean `{meant}`?")),
                None => complaint,
            });
        }
        Ok(())
    }
}
