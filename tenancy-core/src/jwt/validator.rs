//! The authenticator for tokens: shape, header, key, signature and only then the claims.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::Value;

use super::{
    actor::ActorRule,
    builder::JwtAuthenticatorBuilder,
    cache::{TokenCache, Verified},
    claims::{self, ClaimRules, Validity},
    compact,
    custom::CustomMapping,
    header::{self, TypeRule},
    mapping::TenantClaims,
    reason,
    rights::RightsClaims,
    source::KeySource,
    token::Token,
};
use crate::{
    AllowedTenants, Authenticator, Claims, Credential, LookupError, Principal, Rejection,
    Timestamp, Verdict,
};

/// Verifies signed JSON Web Tokens (RFC 7519, RFC 8725) of one issuer, with keys known at start or
/// [published](super::RemoteKeys) by the issuer.
///
/// A token has to be at most [`MAX_CREDENTIAL_LEN`](crate::MAX_CREDENTIAL_LEN) bytes long, signed
/// by one of its keys with that key's algorithm, and carry `iss`, `aud`, `exp` and `sub`. With
/// configured keys it answers from memory, so that [`verify`](Authenticator::verify) has no more to
/// say than [`probe`](Authenticator::probe). A credential that does not look like a token at all, and a
/// token whose `iss` is another text, are [`Verdict::NotMine`]: several authenticators can stand
/// side by side, and [`JwtIssuers`](super::JwtIssuers) holds many.
///
/// ```
/// use tenancy_core::{
///     Authenticator, Credential, AllowedTenants, Slug, Timestamp, Verdict,
///     jwt::{Algorithm, JwtAuthenticator, VerificationKey},
/// };
///
/// let key = VerificationKey::hmac(Algorithm::HS256, [0x5c; 32])?;
/// let tokens = JwtAuthenticator::builder("https://login.example.com", "https://api.example.com")
///     .key(key)
///     .tenant_claim("tenant")
///     .build()?;
///
/// let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1\
///     wbGUuY29tIiwiYXVkIjoiaHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20iLCJzdWIiOiIwMTkyZDNhNC0\
///     3YjAwLTdjM2QtOGU0Zi01YTZiN2M4ZDllMGYiLCJleHAiOjE4MDAwMDA2MDAsInRlbmFudCI6ImF\
///     jbWUifQ.oW3OBbD8HltprQWVXUZc-fzNXqmJF80AZLfcTdrUMyo";
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let Verdict::Verified(principal) = tokens.probe(Credential::new(token), now) else {
///     panic!("a good token is verified");
/// };
/// assert_eq!(principal.allowed_tenants, AllowedTenants::Bound("acme".parse::<Slug>()?.into()));
///
/// let later = Timestamp::from_unix_seconds(1_800_001_000);
/// let Verdict::Rejected(rejection) = tokens.probe(Credential::new(token), later) else {
///     panic!("an expired token is rejected");
/// };
/// assert_eq!(rejection.reason(), "token-expired");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What the principal says
/// [`expires_at`](Principal::expires_at) is `exp` plus the leeway and
/// [`not_before`](Principal::not_before) is `nbf` minus the leeway, so that
/// [`Principal::holds_at`] agrees with this authenticator; [`issued_at`](Principal::issued_at) is
/// `iat` as it stands. The actor is a user unless [`services`](JwtAuthenticatorBuilder::services) says otherwise, the
/// scope is full unless a claim narrows it, and the claims are the payload.
///
/// # Why a token is rejected
/// | reason | cause |
/// |---|---|
/// | `token-too-long` | longer than [`MAX_CREDENTIAL_LEN`](crate::MAX_CREDENTIAL_LEN) |
/// | `token-encrypted` | five parts, or an `enc` header: JWE is not supported |
/// | `token-malformed` | not three parts of canonical base64url without padding |
/// | `token-header` | the header is not a UTF-8 JSON object without repeated names |
/// | `token-critical` | `crit` or `b64` in the header: no extension is supported |
/// | `token-compressed` | `zip` in the header |
/// | `token-nested` | `cty` says that the payload is a token itself |
/// | `token-algorithm` | `alg` is missing, unsupported (`none` is), or not that of the key |
/// | `token-type` | `typ` is not an accepted token type |
/// | `token-key-id` | `kid` is not 1 to 256 printable ASCII characters |
/// | `token-key-unknown` | no key has this `kid` |
/// | `token-key-ambiguous` | no `kid`, and several keys fit the algorithm |
/// | `token-signature` | the signature is not the key's over this token |
/// | `token-payload` | the payload is not a UTF-8 JSON object without repeated names |
/// | `token-issuer` | `iss` is missing or not a string |
/// | `token-audience` | `aud` is missing, holds a non-string, or lacks the configured one |
/// | `token-expiry` | `exp` is missing or not a date |
/// | `token-not-before` | `nbf` is not a date |
/// | `token-issued-at` | `iat` is not a date, or missing although a longest lifetime is set |
/// | `token-lifetime` | longer from `iat` to `exp` than the longest lifetime |
/// | `token-expired` | `exp` is past, beyond the leeway |
/// | `token-not-yet-valid` | `nbf` is to come, beyond the leeway |
/// | `token-issued-in-future` | `iat` is to come, beyond the leeway |
/// | `token-subject` | `sub` is missing, not a string of 1 to 255 bytes, or not a user id |
/// | `token-application` | the claim that names the application is missing or names another |
/// | `token-actor` | `map_principal` made of it neither a user nor a service account |
/// | `token-scope` | a claim that lists scopes is missing or can't be read |
/// | `token-role` | a claim that lists roles is missing or can't be read |
/// | `token-tenant-missing` | a configured tenant claim is absent |
/// | `token-tenant-malformed` | a tenant claim can't be read, or the default is not listed |
/// | `token-tenant-foreign` | a tenant claim names another tenant than the issuer's own |
///
/// A date is a number of seconds from 0 up to the year 9999.
///
/// # Security
/// - A token proves who its user is; membership and tenant state are looked up for each request.
///   Until `exp` it holds, unless the engine [has taken it back](crate::Admin::revoke_tokens).
/// - Keys are looked for in the configuration, or where it says that they are published. `jku`, `x5u`, `x5c` and `jwk` are ignored.
/// - The cache is keyed by a SipHash-2-4-128 of the token under a random key of the process, and holds
///   verified tokens only, without their text; time is compared on every hit, and so is whether the
///   issuer's keys are still the same.
#[derive(Debug)]
pub struct JwtAuthenticator {
    pub(super) keys: KeySource,
    pub(super) types: TypeRule,
    pub(super) rules: ClaimRules,
    pub(super) actor: ActorRule,
    pub(super) rights: RightsClaims,
    pub(super) custom: Option<CustomMapping>,
    pub(super) tenants: TenantClaims,
    /// Shared with other issuers, where it stands among them.
    pub(super) cache: Option<Arc<TokenCache>>,
    /// Tells this authenticator from every other of the process.
    pub(super) number: u64,
}

impl JwtAuthenticator {
    /// Starts from what is always required: the exact `iss`, and one of the token's `aud`.
    pub fn builder(
        issuer: impl Into<String>,
        audience: impl Into<String>,
    ) -> JwtAuthenticatorBuilder {
        JwtAuthenticatorBuilder::new(issuer.into(), audience.into())
    }

    /// A number that no other authenticator of this process has.
    pub(super) fn next_number() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// Remembers tokens where other issuers do, if it remembers any.
    pub(super) fn sharing(mut self, cache: Option<&Arc<TokenCache>>) -> Self {
        self.cache = self.cache.and(cache.cloned());
        self
    }

    /// The issuer's name.
    pub(super) fn issuer(&self) -> Arc<str> {
        Arc::clone(&self.rules.issuer)
    }

    pub(super) fn authenticate(
        &self,
        token: &mut Token<'_>,
        now: Timestamp,
    ) -> Result<Arc<Principal>, Stop> {
        // What is in the cache has the shape of a token, so that it need not be cut.
        if let (Some(cache), Some(digest)) = (&self.cache, &token.digest)
            && let Some(known) = cache.get(digest, self.number, now)
            && let Some(validity) = Validity::of(&known.principal)
            && known.keys == self.keys.version(now)?
        {
            self.rules.check_time(validity, now)?;
            return Ok(known.principal);
        }
        // Only whose token it is may be read before the signature. A payload that does not say is
        // refused by the first who looks at it.
        match token.unverified_issuer()? {
            Some(issuer) if *issuer != *self.rules.issuer => return Err(Stop::Foreign),
            _ => {}
        }
        let verified = self.verify_token(token, now)?;
        if let (Some(cache), Some(digest)) = (&self.cache, token.digest) {
            cache.insert(digest, verified.clone(), now);
        }
        Ok(verified.principal)
    }

    fn verify_token(&self, token: &mut Token<'_>, now: Timestamp) -> Result<Verified, Stop> {
        let parts = token.parts()?;
        let header = header::read(parts.header, &self.types)?;
        let current = self.keys.current(now)?;
        let key = current.keys.choose(&header).map_err(|rejection| {
            if rejection == reason::KEY_UNKNOWN {
                self.keys.lacks(&header, current.version, now)
            } else {
                rejection.into()
            }
        })?;
        let signature = compact::decode(parts.signature)?;
        if !key.verifies(parts.signing_input, signature) {
            return Err(reason::SIGNATURE.into());
        }

        let claims = token.take_claims()?;
        self.rules.check_parties(&claims)?;
        let validity = self.rules.validity(&claims)?;
        self.rules.check_time(validity, now)?;
        let issuer = &self.rules.issuer;
        let actor = self
            .actor
            .actor(issuer, claims::subject(&claims)?, &claims)?;
        let allowed_tenants = self.tenants.allowed_tenants(&claims)?;

        let mut principal = Principal::new(actor, allowed_tenants, Arc::clone(issuer));
        principal.scope = self.rights.scope(&claims)?;
        principal.issued_at = validity.issued_at;
        principal.expires_at = Some(validity.expires_at);
        principal.not_before = validity.not_before;
        let claims = Value::Object(claims);
        principal.claims = Claims::from(&claims);
        if let Some(custom) = &self.custom {
            principal = custom.apply(&claims, principal)?;
            // Whatever the application makes of a claim: the issuer speaks for its tenant alone.
            if let Some(own) = &self.tenants.issuer {
                principal.allowed_tenants = AllowedTenants::Bound(own.clone());
            }
        }
        Ok(Verified {
            principal: Arc::new(principal),
            by: self.number,
            keys: current.version,
        })
    }
}

/// Why a token gives no principal.
pub(super) enum Stop {
    /// Another issuer's.
    Foreign,
    Rejected(Rejection),
    /// The issuer has to be asked for its keys.
    KeysNeeded,
    /// The same, and not before this time has passed.
    KeysLater(Duration),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

pub(super) fn verdict(decided: Result<Arc<Principal>, Stop>) -> Verdict {
    match decided {
        Ok(principal) => Verdict::Verified(principal),
        Err(Stop::Foreign) => Verdict::NotMine,
        Err(Stop::Rejected(rejection)) => Verdict::Rejected(rejection),
        Err(Stop::KeysNeeded | Stop::KeysLater(_)) => Verdict::NeedsLookup,
    }
}

#[async_trait]
impl Authenticator for JwtAuthenticator {
    fn issuers(&self) -> Vec<Arc<str>> {
        vec![self.issuer()]
    }

    fn probe(&self, credential: Credential<'_>, now: Timestamp) -> Verdict {
        let token = credential.expose();
        if !compact::looks_like_one(token) {
            return Verdict::NotMine;
        }
        match Token::new(token) {
            Ok(mut token) => verdict(self.authenticate(&mut token, now)),
            Err(rejection) => Verdict::Rejected(rejection),
        }
    }

    fn version(&self, issuer: Option<&str>, now: Timestamp) -> Option<u128> {
        match issuer {
            // Whose a token is, it says itself for ever.
            None => Some(0),
            Some(issuer) if *issuer == *self.rules.issuer => {
                // Who wants no token remembered wants none in whole decisions either.
                self.cache.as_ref()?;
                let keys = self.keys.version(now).ok()?;
                Some(u128::from(self.number) << 64 | u128::from(keys))
            }
            Some(_) => None,
        }
    }

    async fn verify(
        &self,
        credential: Credential<'_>,
        now: Timestamp,
    ) -> Result<Verdict, LookupError> {
        let decide = || {
            let mut token = Token::new(credential.expose())?;
            self.authenticate(&mut token, now)
        };
        let mut decided = decide();
        if let (Err(Stop::KeysNeeded), KeySource::Remote(keys)) = (&decided, &self.keys) {
            let fetched = keys.refresh(now).await;
            decided = decide();
            if let Err(Stop::KeysNeeded) = decided {
                fetched?;
                return Err(LookupError::new("the issuer's keys are not there"));
            }
        }
        if let Err(Stop::KeysLater(wait)) = decided {
            let error = "the token names a key that the issuer may have published since its keys were fetched";
            return Err(LookupError::new(error).with_retry_after(wait));
        }
        Ok(verdict(decided))
    }
}
