//! Keys that an issuer publishes and changes as it likes: a JSON Web Key Set (RFC 7517 §5).

mod builder;
mod document;
mod fetcher;
#[cfg(feature = "jwks-http")]
mod http;
mod jwk;
mod keys;
mod pace;
mod status;

pub use builder::RemoteKeysBuilder;
pub use fetcher::{FetchError, JwksFetcher};
#[cfg(feature = "jwks-http")]
pub use http::{HttpJwksFetcher, JwksHttpClient, JwksHttpClientBuilder};
pub use keys::RemoteKeys;
pub(super) use keys::Wanting;
pub use status::RemoteKeysStatus;
