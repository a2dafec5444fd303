//! Tests of keys that need no engine.

#[cfg(feature = "argon2")]
mod guessable;
mod hashing;
#[cfg(feature = "argon2")]
mod imported;
mod laws;
mod reading;
mod records;
mod scanning;

use super::*;
use crate::KeyId;

fn format() -> KeyFormat {
    KeyFormat::new("acme", Environment::Live).unwrap()
}

fn key_of(secret: [u8; 32]) -> KeyText {
    format().write(KeyId::new(), &secret)
}
