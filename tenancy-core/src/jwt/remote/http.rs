//! Key sets over HTTPS.

mod address;
mod builder;
mod client;
mod discovery;
mod fetcher;
mod resolver;
mod roots;

pub use builder::JwksHttpClientBuilder;
pub use client::JwksHttpClient;
pub use fetcher::HttpJwksFetcher;
