//! JSON objects in which every name stands once.
//!
//! RFC 7515 §4 and RFC 7519 §4 let a reader refuse a repeated name or take the last one. Two
//! readers that choose differently see two different tokens under one signature.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Under this name `serde_json` hands over a number when another crate of the build has switched
/// on its `arbitrary_precision`. Read the same way in every build, the name means the number.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one JSON object that fills `bytes`; `None` if it is anything else, if a name is repeated
/// on any level, or if it is nested deeper than `serde_json` goes (128 levels).
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut source = serde_json::Deserializer::from_str(text);
    let value = Unique.deserialize(&mut source).ok()?;
    source.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// Whether the number is one in every build: without that feature an `f64` has to hold it.
fn is_finite(number: &Number) -> bool {
    number.as_f64().is_some_and(f64::is_finite)
}

struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = source.next_element_seed(Unique)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = source.next_key::<String>()? {
            if name == NUMBER {
                let digits = source.next_value::<String>()?;
                let alone = members.is_empty() && source.next_key::<String>()?.is_none();
                let number = digits
                    .parse::<Number>()
                    .ok()
                    .filter(is_finite)
                    .filter(|_| alone);
                return number
                    .map(Value::Number)
                    .ok_or_else(|| A::Error::custom("reserved name"));
            }
            let value = source.next_value_seed(Unique)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("repeated name"));
            }
        }
        Ok(Value::Object(members))
    }
}
