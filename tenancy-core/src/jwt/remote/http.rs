//! Key sets over HTTPS.

mod address;
mod client;
mod discovery;
mod resolver;

pub use client::{HttpJwksFetcher, JwksHttpClient, JwksHttpClientBuilder};
