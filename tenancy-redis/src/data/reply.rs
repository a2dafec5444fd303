//! What an answer is read as.

use redis::Value;

use super::Stored;
use crate::RedisError;

fn unexpected<T>() -> Result<T, RedisError> {
    Err(RedisError::unexpected(
        "the answer has another type than the command's",
    ))
}

pub(crate) fn int(value: Value) -> Result<i64, RedisError> {
    match value {
        Value::Int(number) => Ok(number),
        Value::Nil => Ok(0),
        _ => unexpected(),
    }
}

/// How many there are; never less than none.
pub(crate) fn count(value: Value) -> Result<u64, RedisError> {
    Ok(u64::try_from(int(value)?).unwrap_or(0))
}

/// Whether there was one, or it was done.
pub(crate) fn did(value: Value) -> Result<bool, RedisError> {
    match value {
        Value::Okay => Ok(true),
        value => Ok(int(value)? > 0),
    }
}

pub(crate) fn done(value: Value) -> Result<(), RedisError> {
    did(value).map(drop)
}

pub(crate) fn bytes(value: Value) -> Result<Vec<u8>, RedisError> {
    match optional(value)? {
        Some(stored) => Ok(stored.into_bytes()),
        None => unexpected(),
    }
}

pub(crate) fn text(value: Value) -> Result<String, RedisError> {
    String::from_utf8(bytes(value)?).or_else(|_| unexpected())
}

pub(crate) fn optional(value: Value) -> Result<Option<Stored>, RedisError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::SimpleString(text) => Ok(Some(text.into_bytes().into())),
        Value::Int(number) => Ok(Some(number.to_string().into_bytes().into())),
        _ => unexpected(),
    }
}

pub(crate) fn list(value: Value) -> Result<Vec<Value>, RedisError> {
    match value {
        Value::Nil => Ok(Vec::new()),
        Value::Array(values) | Value::Set(values) => Ok(values),
        _ => unexpected(),
    }
}

pub(crate) fn all(value: Value) -> Result<Vec<Stored>, RedisError> {
    let bytes = |value| bytes(value).map(Stored::from);
    list(value)?.into_iter().map(bytes).collect()
}

pub(crate) fn pairs(value: Value) -> Result<Vec<(Stored, Stored)>, RedisError> {
    let mut all = all(value)?.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (all.next(), all.next()) {
        pairs.push((key, value));
    }
    Ok(pairs)
}

pub(crate) fn score(value: &Stored) -> Result<f64, RedisError> {
    value.text()?.parse().or_else(|_| unexpected())
}

/// An answer of so many parts.
pub(crate) fn parts<const N: usize>(value: Value) -> Result<[Value; N], RedisError> {
    <[Value; N]>::try_from(list(value)?).or_else(|_| unexpected())
}
