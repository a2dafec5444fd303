//! The backend of `jsonwebtoken` that signs and verifies, chosen by feature.
//!
//! It is named here, and the default of the process is never asked: that one panics where a program
//! has compiled in both backends and chosen none.

use jsonwebtoken::crypto::CryptoProvider;

/// AWS-LC where it is compiled in, since it is the faster of the two.
#[cfg(feature = "aws-lc-rs")]
pub(super) static PROVIDER: &CryptoProvider = &jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;

/// RustCrypto where there is no other.
#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
pub(super) static PROVIDER: &CryptoProvider = &jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;

/// The longest RSA modulus that it verifies with.
pub(super) const LONGEST_RSA: usize = if cfg!(feature = "aws-lc-rs") {
    8192
} else {
    4096
};
