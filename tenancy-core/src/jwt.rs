//! Strict validation of JSON Web Tokens, with keys that are known at start or published.
//!
//! Signatures are verified by one of two backends, which a feature of the crate chooses: AWS-LC
//! (`aws-lc-rs`) or RustCrypto (`rust-crypto`). With both, it is AWS-LC. Both verify every
//! [`Algorithm`], and the same keys are refused with both, but for RSA keys of more than 4096 bits:
//! RustCrypto does not verify with them, so that [`VerificationKey`] refuses them where it is the
//! backend.

mod actor;
mod algorithm;
mod anchor;
mod backend;
mod builder;
mod cache;
mod claims;
mod compact;
mod custom;
mod error;
mod header;
mod issuers;
mod json;
mod key;
mod keyset;
mod mapping;
mod minter;
mod reason;
mod remote;
mod rights;
mod roca;
mod rsa;
mod signing;
mod small_order;
mod source;
mod spki;
mod token;
mod validator;

#[cfg(test)]
mod tests;

pub use actor::ServiceMapping;
pub use algorithm::Algorithm;
pub(crate) use anchor::chain_of as anchor_chain;
pub use anchor::{AnchorSigner, AnchorVerifier};
pub use builder::JwtAuthenticatorBuilder;
pub use error::{JwtConfigError, JwtConfigErrorKind, KeyError, KeyErrorKind};
pub use issuers::{IssuerSource, JwtIssuers, StoredIssuers};
pub use key::VerificationKey;
pub use mapping::SubjectMapping;
pub use minter::{MintError, MintedToken, TokenMinter};
pub use remote::{FetchError, JwksFetcher, RemoteKeys, RemoteKeysBuilder, RemoteKeysStatus};
#[cfg(feature = "jwks-http")]
pub use remote::{HttpJwksFetcher, JwksHttpClient, JwksHttpClientBuilder};
pub use signing::SigningKey;
pub use validator::JwtAuthenticator;
