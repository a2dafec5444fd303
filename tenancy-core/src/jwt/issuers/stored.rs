//! Issuers that are looked up where the application keeps them, for many processes.

mod held;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use held::{Issuers, Known};

use super::{
    super::{
        cache::{DEFAULT_BYTES, TokenCache},
        compact,
        error::{JwtConfigError, JwtConfigErrorKind as Kind},
        token::Token,
        validator::verdict,
    },
    routes::Routes,
    source::IssuerSource,
};
use crate::{Authenticator, Credential, LookupError, Timestamp, Verdict};

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);
const DEFAULT: Duration = Duration::from_secs(30);

/// The issuers that an [`IssuerSource`] knows: what one process registers, the others find.
///
/// [`JwtIssuers`](super::JwtIssuers) is for issuers that the process itself knows of. Clones share
/// what is held, so that one goes to the engine and another to the code that registers issuers.
/// Register it after other authenticators: a token that none of those knows is one to ask about.
///
/// ```
/// use std::{collections::HashMap, sync::{Arc, Mutex, PoisonError}};
/// use tenancy_core::{
///     LookupError, TenantId, async_trait,
///     jwt::{
///         Algorithm, IssuerSource, JwtAuthenticator, StoredIssuers, SubjectMapping,
///         VerificationKey,
///     },
/// };
///
/// /// A row of the table of single sign-ons.
/// #[derive(Debug, Clone, PartialEq)]
/// struct SignOn {
///     tenant: TenantId,
///     public_key: String,
/// }
///
/// #[derive(Debug, Default)]
/// struct SignOns(Arc<Mutex<HashMap<String, SignOn>>>);
///
/// #[async_trait]
/// impl IssuerSource for SignOns {
///     type Record = SignOn;
///
///     async fn find_issuer(&self, issuer: &str) -> Result<Option<SignOn>, LookupError> {
///         // SELECT tenant, public_key FROM sign_ons WHERE issuer = $1
///         let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         Ok(table.get(issuer).cloned())
///     }
///
///     fn authenticator(
///         &self,
///         issuer: &str,
///         record: &SignOn,
///     ) -> Result<JwtAuthenticator, LookupError> {
///         // With the feature `jwks-http`: `discover` in place of a stored key.
///         let key = VerificationKey::pem(Algorithm::EdDSA, &record.public_key);
///         JwtAuthenticator::builder(issuer, "https://api.example.com")
///             .key(key.map_err(LookupError::new)?)
///             .bound_to(record.tenant)
///             .subject(SubjectMapping::PerIssuer)
///             .build()
///             .map_err(LookupError::new)
///     }
/// }
///
/// let issuers = StoredIssuers::new(SignOns::default());
/// // After a row was added, changed or removed by this process:
/// issuers.forget();
/// ```
///
/// # When the source is asked
/// | the issuer is | a request with its token |
/// |---|---|
/// | held, and was asked for within [`max_age`](Self::max_age) | is decided from memory |
/// | held for longer | waits until the source was asked again; 503 if it does not answer |
/// | found to be untrusted less than 10 s ago | is refused (401, unless another authenticator knows the token) |
/// | not known | waits until the source was asked; 503 if it does not answer, or is being asked about 8 such names already |
///
/// Many requests wait for one question about the same name. A source that takes longer than 5 s does
/// not answer. This needs a tokio runtime with its timer enabled.
///
/// # Security
/// - A removed issuer's tokens are refused after `max_age` at the latest, remembered or not; after
///   [`forget`](Self::forget), at once in this process.
/// - The name comes from an unverified token and is only looked up, byte for byte. One of more than
///   [`MAX_ISSUER_LEN`](Self::MAX_ISSUER_LEN) bytes, or with control characters, is nobody's.
/// - Invented names cost a question each, 8 at a time, and never push out issuers that are there;
///   while they come, an issuer that this process has not seen yet may be answered 503.
pub struct StoredIssuers<S: IssuerSource> {
    issuers: Arc<Issuers<S>>,
    routes: Arc<Routes>,
    /// The remembered tokens of all issuers.
    tokens: Option<Arc<TokenCache>>,
    max_age: Duration,
}

impl<S: IssuerSource> StoredIssuers<S> {
    /// The longest name of an issuer that is looked up, in bytes.
    pub const MAX_ISSUER_LEN: usize = 512;

    /// Looks issuers up in a source.
    #[must_use]
    pub fn new(source: S) -> Self {
        Self {
            issuers: Arc::new(Issuers::new(source)),
            routes: Arc::new(Routes::new()),
            tokens: TokenCache::new(DEFAULT_BYTES).map(Arc::new),
            max_age: DEFAULT,
        }
    }

    /// How long an issuer is trusted before the source is asked about it again, and so for how long
    /// one may go on that another process has removed or changed. Default 30 seconds, from 1 second
    /// to 10 minutes.
    ///
    /// # Errors
    /// [`JwtConfigError`] if it is less or more.
    pub fn max_age(mut self, age: Duration) -> Result<Self, JwtConfigError> {
        if !(SHORTEST..=LONGEST).contains(&age) {
            let message = format!("`max_age` is {age:?}; set it to {SHORTEST:?} to {LONGEST:?}");
            return Err(JwtConfigError::new(Kind::RemoteTiming, message));
        }
        self.max_age = age;
        Ok(self)
    }

    /// How many bytes of verified tokens are remembered, of all issuers together; 0 for none. Default
    /// 16 MiB. To be set before clones are made.
    ///
    /// See [`JwtAuthenticatorBuilder::cache_bytes`](super::super::JwtAuthenticatorBuilder::cache_bytes)
    /// for what a token takes.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.tokens = TokenCache::new(bytes).map(Arc::new);
        self
    }

    /// Has the source asked again about each issuer, and about names that were nobody's, before
    /// the next token of it is decided about. To be called after this process has changed what is
    /// stored; an issuer whose record is the same keeps its keys.
    pub fn forget(&self) {
        self.issuers.forget();
    }

    fn known(&self, issuer: &str, now: Timestamp) -> Known {
        self.issuers.known(issuer, self.max_age, now)
    }

    /// A token of an issuer whose name can be looked up; or what is said of it otherwise.
    fn named<'a>(&self, credential: Credential<'a>) -> Result<(Token<'a>, Arc<str>), Verdict> {
        let text = credential.expose();
        if !compact::looks_like_one(text) {
            return Err(Verdict::NotMine);
        }
        let mut token = Token::new(text).map_err(Verdict::Rejected)?;
        let issuer = self.routes.issuer(&mut token);
        match issuer.map_err(Verdict::Rejected)? {
            Some(issuer) if may_be_asked_about(&issuer, Self::MAX_ISSUER_LEN) => {
                Ok((token, issuer))
            }
            _ => Err(Verdict::NotMine),
        }
    }
}

fn may_be_asked_about(issuer: &str, longest: usize) -> bool {
    (1..=longest).contains(&issuer.len()) && !issuer.chars().any(char::is_control)
}

#[async_trait]
impl<S: IssuerSource> Authenticator for StoredIssuers<S> {
    fn probe(&self, credential: Credential<'_>, now: Timestamp) -> Verdict {
        let (mut token, issuer) = match self.named(credential) {
            Ok(named) => named,
            Err(verdict) => return verdict,
        };
        match self.known(&issuer, now) {
            Known::Nobody => Verdict::NotMine,
            Known::Ask => Verdict::NeedsLookup,
            Known::Trusted(authenticator) => {
                let decided = authenticator.authenticate(&mut token, now);
                if decided.is_ok() {
                    self.routes.remember(&token, issuer);
                }
                verdict(decided)
            }
        }
    }

    fn version(&self, issuer: Option<&str>, now: Timestamp) -> Option<u128> {
        match self.known(issuer?, now) {
            Known::Trusted(authenticator) => authenticator.version(issuer, now),
            Known::Nobody | Known::Ask => None,
        }
    }

    async fn verify(
        &self,
        credential: Credential<'_>,
        now: Timestamp,
    ) -> Result<Verdict, LookupError> {
        let issuer = match self.named(credential) {
            Ok((_, issuer)) => issuer,
            Err(verdict) => return Ok(verdict),
        };
        let authenticator = match self.known(&issuer, now) {
            Known::Trusted(authenticator) => Some(authenticator),
            Known::Nobody => None,
            Known::Ask => self.issuers.ask(issuer, self.tokens.as_ref(), now).await?,
        };
        match authenticator {
            Some(authenticator) => authenticator.verify(credential, now).await,
            None => Ok(Verdict::NotMine),
        }
    }
}

impl<S: IssuerSource> Clone for StoredIssuers<S> {
    fn clone(&self) -> Self {
        Self {
            issuers: Arc::clone(&self.issuers),
            routes: Arc::clone(&self.routes),
            tokens: self.tokens.clone(),
            max_age: self.max_age,
        }
    }
}

impl<S: IssuerSource> fmt::Debug for StoredIssuers<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredIssuers")
            .field("source", &self.issuers.source)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
