//! A published key set: which of its keys are used.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    super::{json, keyset::KeySet},
    jwk::{KeyRule, Skipped},
};

/// The largest key set that is read, in bytes.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// The most keys that a set may list, used or not.
const MAX_KEYS: usize = 100;

/// What is wrong with a whole set. None of it says what the set contained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadSet {
    #[error("the key set has more than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("the answer is not a key set: no JSON object with an array `keys`")]
    NotASet,
    #[error("the key set lists more than {MAX_KEYS} keys")]
    TooManyKeys,
    #[error("the key set has no key that can be used")]
    NoUsableKey,
}

/// The keys of a set, and how many were passed over for which reason.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) keys: KeySet,
    pub(super) skipped: BTreeMap<Skipped, usize>,
}

/// Reads a set. A key that can't be used is passed over; a set without any is an error, so that it
/// never replaces one that has some.
pub(super) fn read(bytes: &[u8], rule: &KeyRule) -> Result<Document, BadSet> {
    if bytes.len() > MAX_BYTES {
        return Err(BadSet::TooLarge);
    }
    let members = json::object(bytes).ok_or(BadSet::NotASet)?;
    let Some(Value::Array(listed)) = members.get("keys") else {
        return Err(BadSet::NotASet);
    };
    if listed.len() > MAX_KEYS {
        return Err(BadSet::TooManyKeys);
    }
    let mut skipped = BTreeMap::<Skipped, usize>::new();
    let mut skip = |reason| *skipped.entry(reason).or_default() += 1;
    let mut keys = Vec::new();
    for key in listed {
        match rule.read(key) {
            Ok(key) => keys.push(key),
            Err(reason) => skip(reason),
        }
    }
    // Which of two keys an id means is not ours to guess: neither is used.
    let mut ids = BTreeMap::<String, usize>::new();
    for id in keys.iter().filter_map(|key| key.id()) {
        *ids.entry(id.to_owned()).or_default() += 1;
    }
    keys.retain(|key| {
        let repeated = key
            .id()
            .is_some_and(|id| ids.get(id).is_some_and(|n| *n > 1));
        if repeated {
            skip("with another key's id");
        }
        !repeated
    });
    if keys.is_empty() {
        return Err(BadSet::NoUsableKey);
    }
    Ok(Document {
        keys: KeySet::published(keys),
        skipped,
    })
}
