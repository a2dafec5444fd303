//! API keys: one answer to every bad one, and a good one does what its creator may, within its
//! scopes, for as long as it holds.

mod admin;
mod decided;
mod guessing;
mod hits;
#[cfg(feature = "argon2")]
mod imported;
mod presenting;
mod races;
mod rights;
mod rotation;
mod uses;
mod watched;
#[cfg(not(feature = "argon2"))]
mod without_argon2;

use std::{net::IpAddr, sync::Arc};

use tenancy_core::{
    Clock, TenancyBuilder,
    jwt::JwtAuthenticator,
    key::{ApiKeys, Environment, HmacKeyHasher, IssuedKey, KeyFormat, NewKey, Pepper},
    testing::{FakeRequest, SwitchedDirectory},
};

use crate::support::{ISSUER, World, key as token_key};

pub(crate) const PEPPER: [u8; 32] = [0x5c; 32];

pub(crate) fn format() -> KeyFormat {
    KeyFormat::new("acme", Environment::Live).unwrap()
}

pub(crate) fn hasher() -> HmacKeyHasher {
    tenancy_logwatch::issued(PEPPER);
    HmacKeyHasher::new(Pepper::new(1, PEPPER).unwrap())
}

pub(crate) fn api_keys(directory: SwitchedDirectory) -> ApiKeys {
    ApiKeys::new(format(), hasher(), directory)
}

/// Keys beside tokens.
pub(crate) fn with_keys(directory: SwitchedDirectory, builder: TenancyBuilder) -> TenancyBuilder {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes")
        .key(token_key())
        .build()
        .unwrap();
    builder.authenticator(tokens).keys(api_keys(directory))
}

pub(crate) async fn world() -> World {
    World::over(with_keys).await
}

pub(crate) async fn world_at(clock: Arc<dyn Clock>) -> World {
    World::over(|directory, builder| with_keys(directory, builder).clock(clock)).await
}

/// Alice's key at Acme, for all that she may do.
pub(crate) fn alices(w: &World) -> NewKey {
    NewKey::new(w.acme.id, w.alice, "a key", ["*".parse().unwrap()])
}

pub(crate) async fn issue(w: &World, new: NewKey) -> IssuedKey {
    let key = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service())
        .issue(new)
        .await
        .unwrap();
    tenancy_logwatch::issued_key(&key);
    key
}

pub(crate) fn with(key: &IssuedKey) -> FakeRequest {
    FakeRequest::new("/notes").bearer(key.expose())
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
