//! Many issuers behind one authenticator, found by name instead of one after the other.

mod routes;
mod source;
mod stored;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use routes::Routes;
pub use source::IssuerSource;
pub use stored::StoredIssuers;

use super::{
    cache::{DEFAULT_BYTES, TokenCache},
    compact,
    error::{JwtConfigError, JwtConfigErrorKind as Kind},
    token::Token,
    validator::{JwtAuthenticator, Stop, verdict},
};
use crate::{Authenticator, Credential, LookupError, Rejection, Timestamp, Verdict};

/// The issuers a service trusts, which may come and go while it runs.
///
/// Two or three [`JwtAuthenticator`]s can be registered with the engine one by one: each passes
/// over the tokens of another issuer. With an issuer per tenant there may be thousands; here a
/// token's issuer is looked up by its exact name, and remembered tokens are not parsed at all.
/// Clones share the issuers, so that one clone goes to the engine and another to the code that
/// sets up a tenant's single sign-on. Where several processes serve, [`StoredIssuers`] finds what
/// another one has set up.
///
/// ```
/// use tenancy_core::{
///     TenantId,
///     jwt::{Algorithm, JwtAuthenticator, JwtConfigErrorKind, JwtIssuers, VerificationKey},
/// };
///
/// let acme = TenantId::new();
/// let issuers = JwtIssuers::new();
/// let sso = || {
///     let key = VerificationKey::hmac(Algorithm::HS256, [0x5c; 32])?;
///     Ok::<_, Box<dyn std::error::Error>>(
///         JwtAuthenticator::builder("https://sso.acme.example", "https://api.example.com")
///             .key(key)
///             .bound_to(acme)
///             .build()?,
///     )
/// };
/// issuers.add(sso()?)?;
/// let twice = issuers.add(sso()?).unwrap_err();
/// assert_eq!(twice.kind(), JwtConfigErrorKind::IssuerDuplicate);
///
/// assert!(issuers.remove("https://sso.acme.example"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
/// - The unverified `iss` of a token chooses an issuer, byte for byte, and nothing else does: only
///   that issuer's keys, algorithms and audience are then used.
/// - Bind an issuer that one tenant brings along by
///   [`bound_to`](super::JwtAuthenticatorBuilder::bound_to). Otherwise its operator vouches for the
///   members of every tenant.
/// - A removed issuer's tokens are refused from the next request on, remembered or not.
/// - A token of an issuer that is not here is [`Verdict::NotMine`], and refused by the engine if
///   nobody else knows it.
#[derive(Clone)]
pub struct JwtIssuers(Arc<Inner>);

struct Inner {
    issuers: RwLock<HashMap<Arc<str>, Arc<JwtAuthenticator>>>,
    routes: Routes,
    /// How many issuers have been added.
    added: AtomicU64,
    /// The remembered tokens of all issuers: one that floods it takes no more than one budget.
    tokens: Option<Arc<TokenCache>>,
}

impl JwtIssuers {
    /// No issuer yet. 16 MiB of verified tokens are remembered, of all issuers together.
    #[must_use]
    pub fn new() -> Self {
        Self::with_cache_bytes(DEFAULT_BYTES)
    }

    /// No issuer yet, and so many bytes for the verified tokens of all together; 0 to remember none.
    ///
    /// See [`JwtAuthenticatorBuilder::cache_bytes`](super::JwtAuthenticatorBuilder::cache_bytes) for
    /// what a token takes.
    #[must_use]
    pub fn with_cache_bytes(bytes: usize) -> Self {
        Self(Arc::new(Inner {
            issuers: RwLock::default(),
            routes: Routes::new(),
            added: AtomicU64::new(0),
            tokens: TokenCache::new(bytes).map(Arc::new),
        }))
    }

    /// Trusts one more issuer.
    ///
    /// # Errors
    /// [`JwtConfigError`] if the issuer is here already: who trusts whom for which tenant is never
    /// overwritten silently. [Remove](Self::remove) the former first.
    pub fn add(&self, authenticator: JwtAuthenticator) -> Result<(), JwtConfigError> {
        let name = authenticator.issuer();
        let mut issuers = self
            .0
            .issuers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if issuers.contains_key(&name) {
            let message = format!("the issuer `{name}` is trusted already; remove it first");
            return Err(JwtConfigError::new(Kind::IssuerDuplicate, message));
        }
        let authenticator = authenticator.sharing(self.0.tokens.as_ref());
        issuers.insert(name, Arc::new(authenticator));
        self.0.added.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Trusts an issuer no more; says whether it was here.
    pub fn remove(&self, issuer: &str) -> bool {
        let mut issuers = self
            .0
            .issuers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        issuers.remove(issuer).is_some()
    }

    fn named(&self, issuer: &str) -> Option<Arc<JwtAuthenticator>> {
        let issuers = self
            .0
            .issuers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        issuers.get(issuer).cloned()
    }

    /// Whose token it is, if that is known.
    fn route(&self, token: &mut Token<'_>) -> Result<Option<Arc<JwtAuthenticator>>, Rejection> {
        let issuer = self.0.routes.issuer(token)?;
        Ok(issuer.and_then(|issuer| self.named(&issuer)))
    }
}

impl Default for JwtIssuers {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Authenticator for JwtIssuers {
    fn issuers(&self) -> Vec<Arc<str>> {
        let issuers = self.0.issuers.read();
        let issuers = issuers.unwrap_or_else(PoisonError::into_inner);
        issuers.keys().cloned().collect()
    }

    fn probe(&self, credential: Credential<'_>, now: Timestamp) -> Verdict {
        let text = credential.expose();
        if !compact::looks_like_one(text) {
            return Verdict::NotMine;
        }
        let routed = Token::new(text).and_then(|mut token| {
            let issuer = self.route(&mut token)?;
            Ok((token, issuer))
        });
        let (mut token, issuer) = match routed {
            Ok((token, Some(issuer))) => (token, issuer),
            Ok((_, None)) => return Verdict::NotMine,
            Err(rejection) => return Verdict::Rejected(rejection),
        };
        let decided = issuer.authenticate(&mut token, now);
        if decided.is_ok() {
            self.0.routes.remember(&token, issuer.issuer());
        }
        verdict(decided)
    }

    fn version(&self, issuer: Option<&str>, now: Timestamp) -> Option<u128> {
        match issuer {
            Some(name) => self.named(name)?.version(issuer, now),
            // Of an issuer that is added, tokens were nobody's before.
            None => Some(self.0.added.load(Ordering::SeqCst).into()),
        }
    }

    async fn verify(
        &self,
        credential: Credential<'_>,
        now: Timestamp,
    ) -> Result<Verdict, LookupError> {
        let issuer = Token::new(credential.expose()).and_then(|mut token| self.route(&mut token));
        match issuer {
            Ok(Some(issuer)) => issuer.verify(credential, now).await,
            _ => Ok(verdict(Err(Stop::Foreign))),
        }
    }
}

impl fmt::Debug for JwtIssuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers = self
            .0
            .issuers
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(issuers.keys()).finish()
    }
}
