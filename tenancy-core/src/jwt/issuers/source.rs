//! Where issuers are registered: a trait, so that the core has no table of them.

use std::fmt;

use async_trait::async_trait;

use super::super::validator::JwtAuthenticator;
use crate::LookupError;

/// Finds the issuers that a service trusts where the application keeps them, such as a table of the
/// tenants' single sign-ons. [`StoredIssuers`](super::StoredIssuers) decides when it is asked.
///
/// Finding and building are apart, so that an issuer whose record has not changed keeps its
/// authenticator, with the keys it has fetched and the tokens it remembers.
#[async_trait]
pub trait IssuerSource: Send + Sync + fmt::Debug + 'static {
    /// What is stored about an issuer: its tenant, its audience, what else its authenticator is made
    /// of. One that compares as different has the authenticator built anew.
    type Record: PartialEq + Send + Sync + 'static;

    /// Finds what is stored under exactly this name; `None` if nobody trusts it.
    ///
    /// The name has 1 to [`MAX_ISSUER_LEN`](super::StoredIssuers::MAX_ISSUER_LEN) bytes without
    /// control characters, and nothing else about it is checked: it comes from a token that nobody
    /// has verified yet.
    ///
    /// # Errors
    /// [`LookupError`] if the store did not answer; the request is then answered 503.
    ///
    /// # Security
    /// Compare byte for byte, pass the name as a parameter, and connect to nothing that it names.
    async fn find_issuer(&self, issuer: &str) -> Result<Option<Self::Record>, LookupError>;

    /// Builds the authenticator of an issuer that was found. It has to be one for this name.
    ///
    /// # Errors
    /// [`LookupError`] around what is wrong, if the record is not good for one. It is logged, and
    /// requests with the issuer's tokens are answered 503.
    ///
    /// # Security
    /// An issuer that one tenant brought along is to be
    /// [bound](super::super::JwtAuthenticatorBuilder::bound_to) to it.
    fn authenticator(
        &self,
        issuer: &str,
        record: &Self::Record,
    ) -> Result<JwtAuthenticator, LookupError>;
}
