//! Authenticators: what turns the credential of a request into a principal.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{CredentialSource, Principal, Timestamp};

/// The longest credential that is looked at, in bytes; a longer one is refused unread.
pub const MAX_CREDENTIAL_LEN: usize = 8 * 1024;

/// A credential as it arrived: untrusted, and secret. `Debug` shows its length only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential<'a>(&'a str);

impl<'a> Credential<'a> {
    /// Wraps the text that stands where its [`CredentialSource`] says: after `Bearer `, in a cookie.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The secret text.
    ///
    /// # Security
    /// Never log it, never put it in an error.
    #[must_use]
    pub const fn expose(&self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({} bytes)", self.0.len())
    }
}

/// What an authenticator can say about a credential without waiting.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Verdict {
    /// Verified: it speaks for this principal.
    Verified(Arc<Principal>),
    /// Not valid. The reason is for the audit trail; the caller learns only that it is not.
    Rejected(Rejection),
    /// Not a credential of this kind; another authenticator may know it.
    NotMine,
    /// Only [`Authenticator::verify`] can tell.
    NeedsLookup,
}

/// Why a credential was not accepted. Recorded, never sent to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejection {
    reason: &'static str,
}

impl Rejection {
    /// A rejection for a fixed reason, such as `token-expired`; never holds a part of the credential.
    #[must_use]
    pub const fn new(reason: &'static str) -> Self {
        Self { reason }
    }

    /// The reason's name.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

/// A look-up that could not be finished: the store or the key server did not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the credential could not be looked up: {source}")]
pub struct LookupError {
    source: Arc<dyn std::error::Error + Send + Sync>,
    retry_after: Option<Duration>,
}

impl LookupError {
    /// Wraps the cause, which is logged and never sent to the caller.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: Arc::from(source.into()),
            retry_after: None,
        }
    }

    /// The same, where it is known when to try again: the caller is told so in `Retry-After`.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// When to try again, if that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Verifies one kind of credential.
///
/// An authenticator that has to ask a table of sessions for each credential:
///
/// ```
///
/// use std::sync::Arc;
///
/// use tenancy_core::{
///     Actor, AllowedTenants, Authenticator, Credential, CredentialSource, LookupError, Principal,
///     Rejection, Timestamp, UserId, Verdict, async_trait,
/// };
///
/// # #[derive(Debug)] struct Sessions;
/// # struct Row { user: UserId, begun: Timestamp, ends: Timestamp }
/// # impl Sessions { async fn find(&self, _: &str) -> std::io::Result<Option<Row>> { Ok(None) } }
/// #[derive(Debug)]
/// struct SessionCookie(Sessions);
///
/// #[async_trait]
/// impl Authenticator for SessionCookie {
///     fn sources(&self) -> Vec<CredentialSource> {
///         vec![CredentialSource::cookie("__Host-session")]
///     }
///
///     fn probe(&self, credential: Credential<'_>, _: Timestamp) -> Verdict {
///         if credential.expose().len() == 43 {
///             Verdict::NeedsLookup
///         } else {
///             Verdict::Rejected(Rejection::new("session-malformed"))
///         }
///     }
///
///     async fn verify(&self, credential: Credential<'_>, now: Timestamp) -> Result<Verdict, LookupError> {
///         let Some(row) = self.0.find(credential.expose()).await.map_err(LookupError::new)? else {
///             return Ok(Verdict::Rejected(Rejection::new("session-unknown")));
///         };
///         let mut principal =
///             Principal::new(Actor::User(row.user), AllowedTenants::Memberships, "sessions");
///         principal.issued_at = Some(row.begun);
///         principal.expires_at = Some(row.ends);
///         if !principal.holds_at(now) {
///             return Ok(Verdict::Rejected(Rejection::new("session-expired")));
///         }
///         Ok(Verdict::Verified(Arc::new(principal)))
///     }
/// }
/// ```
///
/// # Security
/// An implementation decides from the credential alone. It must compare secrets in constant time,
/// cache no rejection longer than a lookup costs, and evaluate expiry at `now` on every call, also
/// for what it has in its cache. The engine checks [`Principal::holds_at`] again.
///
/// A user must be one and the same for all sources: the same id for the same person.
///
/// Set [`Principal::issued_at`]: by it a credential is
/// [taken back](crate::Admin::revoke_tokens), and one that does not say when it was issued is refused as
/// soon as anything concerns it. [`Actor::System`](crate::Actor::System) and
/// [`Actor::Anonymous`](crate::Actor::Anonymous) are refused: no credential stands for them.
#[async_trait]
pub trait Authenticator: Send + Sync + fmt::Debug {
    /// Where in a request its credentials stand. Default: `Authorization: Bearer`.
    ///
    /// It is asked about a credential only if that came from one of these.
    /// [`TenancyBuilder::authenticator_from`](crate::TenancyBuilder::authenticator_from) goes before.
    fn sources(&self) -> Vec<CredentialSource> {
        vec![CredentialSource::bearer()]
    }

    /// The issuers whose credentials it takes, as far as it knows them: by them the engine sees that an issuer of the
    /// staff is none of users as well. Default: none are known.
    fn issuers(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// Answers from memory.
    fn probe(&self, credential: Credential<'_>, now: Timestamp) -> Verdict;

    /// A number that vouches for earlier verdicts: for as long as it is the same, they would be the
    /// same again. Then the engine may answer a request from a whole decision that it remembers, without
    /// [`probe`](Self::probe). Default: `None`, so that it is asked about each request.
    ///
    /// `issuer` is the [issuer](Principal::issuer) of principals that this authenticator has made, or
    /// `None` for the credentials of which it has said [`Verdict::NotMine`]. It is called for each
    /// request, and has to be as cheap as a look-up in memory.
    ///
    /// # Security
    /// Return a number only if a verdict follows from the credential's text, the moment, and what this
    /// number stands for: keys, issuers, whatever can be changed or withdrawn. Of the moment, the engine
    /// compares what [`Principal::holds_at`] does, and nothing else.
    fn version(&self, issuer: Option<&str>, now: Timestamp) -> Option<u128> {
        let _ = (issuer, now);
        None
    }

    /// Answers after I/O; called only where [`probe`](Self::probe) said
    /// [`Verdict::NeedsLookup`], and must not say that again.
    ///
    /// # Errors
    /// A [`LookupError`] if what must be asked did not answer; the request is then answered 503.
    async fn verify(
        &self,
        credential: Credential<'_>,
        now: Timestamp,
    ) -> Result<Verdict, LookupError>;
}
