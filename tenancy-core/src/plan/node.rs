//! What a book consists of before it is understood: texts, numbers, lists and tables, each with its position.

use super::{Placed, Position};
use crate::ConfigError;

/// A value in a text.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub value: Value,
}

/// A key of a table, and its value.
pub type Entry = (Placed<String>, Node);

/// What a value is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number; `None` if it is larger than any that can be meant.
    Whole(Option<i128>),
    /// A number with a fraction, as it is written.
    Fraction(String),
    /// True or false.
    Flag(bool),
    /// A date or a time; the moment, if it says which of UTC it is.
    #[cfg(feature = "toml")]
    Moment(Option<crate::Timestamp>),
    /// JSON's null.
    Nothing,
    /// A list.
    List(Vec<Node>),
    /// In the order in which it was written.
    Table(Vec<Entry>),
}

impl Value {
    /// What it is, for errors.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Whole(_) => "a whole number",
            Self::Fraction(_) => "a number with a fraction",
            Self::Flag(_) => "true or false",
            #[cfg(feature = "toml")]
            Self::Moment(_) => "a date or a time",
            Self::Nothing => "null",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// What a piece of JSON says, without places.
    pub(super) fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Nothing,
            Json::Bool(flag) => Value::Flag(*flag),
            Json::Number(number) if number.is_f64() => Value::Fraction(number.to_string()),
            Json::Number(number) => Value::Whole(
                number
                    .as_i64()
                    .map(i128::from)
                    .or(number.as_u64().map(i128::from)),
            ),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(list) => Value::List(list.iter().map(Self::from_json).collect()),
            Json::Object(fields) => {
                let entries = fields.iter();
                Value::Table(
                    entries
                        .map(|(key, json)| (key.clone().into(), Self::from_json(json)))
                        .collect(),
                )
            }
        };
        let at = Position::NONE;
        Self { at, value }
    }

    /// The same as JSON. What no book can say becomes null.
    #[cfg(feature = "toml")]
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Text(text) => Json::String(text.clone()),
            Value::Whole(number) => number.and_then(|it| i64::try_from(it).ok()).into(),
            Value::Flag(flag) => Json::Bool(*flag),
            Value::List(list) => list.iter().map(Self::to_json).collect(),
            Value::Table(entries) => (entries.iter())
                .map(|(key, node)| (key.value.clone(), node.to_json()))
                .collect(),
            Value::Fraction(_) | Value::Moment(_) | Value::Nothing => Json::Null,
        }
    }

    /// A field of a table.
    #[cfg(feature = "toml")]
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Value::Table(entries) = &self.value else {
            return None;
        };
        let entry = entries.iter().find(|(key, _)| key.value == name);
        entry.map(|(_, node)| node)
    }

    /// An error about it.
    #[must_use]
    pub fn error(&self, message: impl std::fmt::Display) -> ConfigError {
        self.at.error(message)
    }

    /// That it is something else than it has to be. `which` is what it stands for, `needs` what it has to be.
    #[must_use]
    pub fn misfit(&self, which: &str, needs: &str) -> ConfigError {
        let is = self.value.what();
        self.error(format_args!("{which} has to be {needs}; this is {is}"))
    }

    /// A text.
    ///
    /// # Errors
    /// A [`ConfigError`] that says what it is instead.
    pub fn text(&self, which: &str, needs: &str) -> Result<Placed<String>, ConfigError> {
        match &self.value {
            Value::Text(text) => Ok(Placed {
                value: text.clone(),
                at: self.at,
            }),
            _ => Err(self.misfit(which, needs)),
        }
    }

    /// A whole number from `least` to `most`.
    ///
    /// # Errors
    /// A [`ConfigError`] that says what it has to be.
    pub fn number(&self, which: &str, least: u64, most: u64) -> Result<u64, ConfigError> {
        let needs = format!("a whole number from {least} to {most}");
        let Value::Whole(number) = self.value else {
            return Err(self.misfit(which, &needs));
        };
        let number = number.and_then(|number| u64::try_from(number).ok());
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(number),
            None => Err(self.error(format_args!("{which} has to be {needs}"))),
        }
    }

    /// A list.
    ///
    /// # Errors
    /// A [`ConfigError`] that says what it is instead.
    pub fn list(&self, which: &str, needs: &str) -> Result<&[Self], ConfigError> {
        match &self.value {
            Value::List(list) => Ok(list),
            _ => Err(self.misfit(which, needs)),
        }
    }

    /// A table.
    ///
    /// # Errors
    /// A [`ConfigError`] that says what it is instead.
    pub fn table(&self, which: &str, needs: &str) -> Result<&[Entry], ConfigError> {
        match &self.value {
            Value::Table(entries) => Ok(entries),
            _ => Err(self.misfit(which, needs)),
        }
    }
}

/// The fields of a table of which it is known what may stand in it.
#[derive(Debug)]
pub struct Fields<'n> {
    at: Position,
    of: &'n str,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// Makes sure that each field is one of those that are known. `of` is whose they are.
    ///
    /// # Errors
    /// A [`ConfigError`] for the first that is not.
    pub fn of(
        of: &'n str,
        node: &'n Node,
        needs: &str,
        known: &[&str],
    ) -> Result<Self, ConfigError> {
        let entries = node.table(of, needs)?;
        for (key, _) in entries {
            if !known.contains(&key.value.as_str()) {
                let all: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                return Err(key.at.error(format_args!(
                    "{of} has no field `{}`; it has {}",
                    key.value,
                    all.join(", ")
                )));
            }
        }
        let at = node.at;
        Ok(Self { at, of, entries })
    }

    /// A field, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().find(|(key, _)| key.value == name);
        entry.map(|(_, node)| node)
    }

    /// Where a field's name stands.
    #[must_use]
    pub fn at(&self, name: &str) -> Position {
        let entry = self.entries.iter().find(|(key, _)| key.value == name);
        entry.map_or(self.at, |(key, _)| key.at)
    }

    /// A field that has to be there.
    ///
    /// # Errors
    /// A [`ConfigError`] that says how to mend it.
    pub fn needed(&self, name: &str, mend: &str) -> Result<&'n Node, ConfigError> {
        self.get(name)
            .ok_or_else(|| (self.at).error(format_args!("{} says no `{name}`; {mend}", self.of)))
    }
}
