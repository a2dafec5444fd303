//! Configuration of a `JwtAuthenticator`.

mod claims;

use std::{sync::Arc, time::Duration};

use super::{
    actor::ActorRule,
    cache::{DEFAULT_BYTES, TokenCache},
    claims::ClaimRules,
    custom::CustomMapping,
    error::{JwtConfigError, JwtConfigErrorKind as Kind},
    header::TypeRule,
    key::VerificationKey,
    keyset::KeySet,
    mapping::TenantClaims,
    remote::RemoteKeys,
    rights::RightsClaims,
    source::KeySource,
    validator::JwtAuthenticator,
};

const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// Builds a [`JwtAuthenticator`]; made by [`JwtAuthenticator::builder`].
///
/// Nothing here switches a check off: signature, `iss`, `aud` and `exp` are always required.
#[derive(Debug)]
#[must_use]
pub struct JwtAuthenticatorBuilder {
    issuer: String,
    audience: String,
    keys: Vec<VerificationKey>,
    remote: Option<RemoteKeys>,
    token_types: Vec<String>,
    leeway: Duration,
    max_lifetime: Option<Duration>,
    cache_bytes: usize,
    actor: ActorRule,
    rights: RightsClaims,
    custom: Option<CustomMapping>,
    tenants: TenantClaims,
}

impl JwtAuthenticatorBuilder {
    pub(super) fn new(issuer: String, audience: String) -> Self {
        Self {
            issuer,
            audience,
            keys: Vec::new(),
            remote: None,
            token_types: Vec::new(),
            leeway: DEFAULT_LEEWAY,
            max_lifetime: None,
            cache_bytes: DEFAULT_BYTES,
            actor: ActorRule::default(),
            rights: RightsClaims::default(),
            custom: None,
            tenants: TenantClaims::default(),
        }
    }

    /// Adds a key of the issuer.
    ///
    /// With several keys each needs an [id](VerificationKey::with_id); a token that names none is
    /// then accepted only if its algorithm leaves a single choice. A single key without an id
    /// verifies whatever id a token names.
    pub fn key(mut self, key: VerificationKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Uses the keys that the issuer publishes, instead of configured ones.
    pub fn remote_keys(mut self, keys: RemoteKeys) -> Self {
        self.remote = Some(keys);
        self
    }

    /// Uses the keys that the issuer's OpenID description names.
    ///
    /// The description is the issuer's own: where it is follows from the issuer's name, and it has
    /// to repeat that name exactly. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`JwtConfigError`] if the issuer's name is not an address that the client connects to.
    #[cfg(feature = "jwks-http")]
    pub fn discover(self, client: &super::JwksHttpClient) -> Result<Self, JwtConfigError> {
        let keys = RemoteKeys::new(client.discovered(&self.issuer)?);
        Ok(self.remote_keys(keys))
    }

    /// Accepts only tokens of this type, such as `at+jwt`; call it again for a further type.
    ///
    /// By default a token may have no type, `JWT` or `at+jwt`. Types are compared without regard
    /// to case and to a leading `application/`.
    ///
    /// # Security
    /// Set it if the issuer types its tokens: it keeps an ID token from being used as an access
    /// token (RFC 8725 §3.11).
    pub fn token_type(mut self, media_type: impl Into<String>) -> Self {
        self.token_types.push(media_type.into());
        self
    }

    /// How far the issuer's clock and ours may differ, applied to `exp`, `nbf` and `iat`.
    ///
    /// Default 30 seconds, at most 5 minutes.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The longest time from `iat` to `exp`; tokens without `iat` are then rejected.
    ///
    /// By default the issuer decides.
    pub fn max_lifetime(mut self, longest: Duration) -> Self {
        self.max_lifetime = Some(longest);
        self
    }

    /// How many bytes of verified tokens are remembered; 0 for none. Default 16 MiB, which is some
    /// 15,000 tokens of usual size.
    ///
    /// An entry holds what the token says, as text, and never the token: some 700 bytes, and what its
    /// claims take. One that would take more than a thirty-second part of the budget is verified anew
    /// each time. Whether a token has expired is decided anew for each request, and those that have are
    /// freed as others come.
    ///
    /// Among [`JwtIssuers`](super::JwtIssuers) and [`StoredIssuers`](super::StoredIssuers), all issuers
    /// share one budget, and this says only whether there is one.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Builds the authenticator.
    ///
    /// # Errors
    /// [`JwtConfigError`] if the issuer or the audience is empty, if there is no key, if keys lack
    /// ids, share one, have one that no token can name, or mix secrets with public keys or with
    /// remote ones, or if another option is out of its bounds.
    pub fn build(self) -> Result<JwtAuthenticator, JwtConfigError> {
        for (name, value) in [("issuer", &self.issuer), ("audience", &self.audience)] {
            if value.is_empty() {
                let message = format!("the {name} is empty; name the one your tokens carry");
                return Err(JwtConfigError::new(Kind::EmptyName, message));
            }
        }
        if self.leeway > MAX_LEEWAY {
            let message = format!(
                "a leeway of {:?} is too long; the most is {MAX_LEEWAY:?}, mend the clocks instead",
                self.leeway,
            );
            return Err(JwtConfigError::new(Kind::LeewayTooLong, message));
        }
        if self.max_lifetime.is_some_and(|longest| longest.is_zero()) {
            let message = "a longest lifetime of zero rejects every token";
            return Err(JwtConfigError::new(Kind::LifetimeZero, message));
        }
        let mut types = TypeRule::default();
        for name in &self.token_types {
            if !types.admit(name) {
                let message = "a token type is a media type such as `at+jwt`";
                return Err(JwtConfigError::new(Kind::TokenType, message));
            }
        }
        self.tenants.check()?;
        self.check_claims()?;
        let keys = match self.remote {
            None => KeySource::Fixed(Arc::new(KeySet::new(self.keys)?)),
            Some(remote) if self.keys.is_empty() => KeySource::Remote(remote),
            Some(_) => {
                let message = "keys are configured and published; use one authenticator for each";
                return Err(JwtConfigError::new(Kind::MixedKeys, message));
            }
        };
        let rules = ClaimRules {
            issuer: self.issuer.into(),
            audience: self.audience.into(),
            leeway: self.leeway,
            max_lifetime: self.max_lifetime,
        };
        Ok(JwtAuthenticator {
            keys,
            types,
            rules,
            actor: self.actor,
            rights: self.rights,
            custom: self.custom,
            tenants: self.tenants,
            cache: TokenCache::new(self.cache_bytes).map(Arc::new),
            number: JwtAuthenticator::next_number(),
        })
    }
}
