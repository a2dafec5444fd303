//! Configuration of a `JwtAuthenticator`.

use serde_json::Value;
use std::{sync::Arc, time::Duration};

use super::{
    actor::{ActorRule, ServiceMapping},
    cache::TokenCache,
    claims::ClaimRules,
    custom::CustomMapping,
    epochs::TokenEpochs,
    error::{JwtConfigError, JwtConfigErrorKind as Kind},
    header::TypeRule,
    key::VerificationKey,
    keyset::KeySet,
    mapping::{REGISTERED, SubjectMapping, TenantClaims},
    remote::RemoteKeys,
    rights::RightsClaims,
    source::KeySource,
    validator::JwtAuthenticator,
};
use crate::{PermissionRegistry, Principal, Rejection, TenantKey};

const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
const MAX_LEEWAY: Duration = Duration::from_secs(300);
const DEFAULT_CACHE_CAPACITY: usize = 10_000;

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
    cache_capacity: usize,
    actor: ActorRule,
    rights: RightsClaims,
    custom: Option<CustomMapping>,
    tenants: TenantClaims,
    epochs: Option<Box<dyn TokenEpochs>>,
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
            cache_capacity: DEFAULT_CACHE_CAPACITY,
            actor: ActorRule::default(),
            rights: RightsClaims::default(),
            custom: None,
            tenants: TenantClaims::default(),
            epochs: None,
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

    /// How many verified tokens are remembered; 0 for none. Default 10,000.
    ///
    /// An entry holds the claims, never the token. Whether it has expired is decided anew for
    /// each request.
    pub fn cache_capacity(mut self, tokens: usize) -> Self {
        self.cache_capacity = tokens;
        self
    }

    /// How `sub` names a user or a service account; [`SubjectMapping::Uuid`] by default.
    pub fn subject(mut self, mapping: SubjectMapping) -> Self {
        self.actor.subject = mapping;
        self
    }

    /// Binds each token to the one tenant that this claim names, by id or slug.
    ///
    /// The principal gets [`Reach::Bound`](crate::Reach::Bound); a token without the claim is
    /// rejected. The name is that of a claim on the top level.
    pub fn tenant_claim(mut self, name: impl Into<String>) -> Self {
        self.tenants.bound = Some(name.into());
        self
    }

    /// Limits each token to the tenants that this claim lists: an array of 1 to 256 ids or slugs.
    ///
    /// The principal gets [`Reach::Set`](crate::Reach::Set); a token without the claim is
    /// rejected, unless it has the [default](Self::default_tenant_claim).
    pub fn tenant_set_claim(mut self, name: impl Into<String>) -> Self {
        self.tenants.set = Some(name.into());
        self
    }

    /// The claim that names the tenant a token means when the request names none.
    ///
    /// It must be one of the listed tenants, in the same form (id or slug). Where there is no
    /// list, it is the only tenant of the set.
    pub fn default_tenant_claim(mut self, name: impl Into<String>) -> Self {
        self.tenants.default = Some(name.into());
        self
    }

    /// Binds the issuer to one tenant, by id or slug: the tenant's own single sign-on.
    ///
    /// Every principal gets [`Reach::Bound`](crate::Reach::Bound) to it. A configured tenant claim
    /// need not be there then; one that is has to name this tenant, in the same form (id or slug),
    /// and a list has to contain it.
    ///
    /// # Security
    /// Without it whoever runs the issuer vouches for members of every tenant. Also set
    /// [`SubjectMapping::PerIssuer`]: otherwise the issuer chooses the ids of your users, and can
    /// name one that is a member of its tenant through another issuer.
    pub fn bound_to(mut self, tenant: impl Into<TenantKey>) -> Self {
        self.tenants.issuer = Some(tenant.into());
        self
    }

    /// Lets a token do at most what this claim lists: grants such as `notes:read` or `notes:*`,
    /// separated by spaces as in `scope`, or in an array.
    ///
    /// What is no grant of the registry, such as `openid`, adds nothing. A token without the claim
    /// is rejected. Called again, both claims narrow.
    pub fn scope_claim(
        mut self,
        name: impl Into<String>,
        permissions: &PermissionRegistry,
    ) -> Self {
        self.rights.scopes.push((name.into(), permissions.clone()));
        self
    }

    /// Lets a token do at most what the roles in this claim may: a text, several separated by
    /// spaces, or an array.
    ///
    /// A role here never gives a right: roles come from the directory, and this narrows what they
    /// allow. The roles are those of the registry; a role it does not know seals the token, and a
    /// token without the claim is rejected.
    pub fn role_claim(mut self, name: impl Into<String>, permissions: &PermissionRegistry) -> Self {
        self.rights.roles.push((name.into(), permissions.clone()));
        self
    }

    /// Accepts only tokens that were issued to one of these applications, by the claim that names
    /// it: `azp` (OpenID Connect) or `client_id` (RFC 9068).
    ///
    /// By default the audience decides alone.
    pub fn applications<T: Into<String>>(
        mut self,
        claim: impl Into<String>,
        allowed: impl IntoIterator<Item = T>,
    ) -> Self {
        let allowed = allowed.into_iter().map(Into::into).collect();
        self.actor.applications = Some((claim.into(), allowed));
        self
    }

    /// Which tokens are service accounts'. By default every token is a user's.
    ///
    /// A service account has no membership: what it may do is what
    /// [`scope_claim`](Self::scope_claim) says, which is then required, and it has to be bound to a
    /// tenant, by [`tenant_claim`](Self::tenant_claim) or [`bound_to`](Self::bound_to). Its id comes
    /// from `sub` as a user's does.
    pub fn services(mut self, mapping: ServiceMapping) -> Self {
        self.actor.services = Some(mapping);
        self
    }

    /// The application's own reading of the claims, after all other rules and before the result is
    /// remembered.
    ///
    /// ```
    /// use tenancy_core::{
    ///     Reach, Rejection, TenantKey,
    ///     jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    /// };
    ///
    /// let key = VerificationKey::hmac(Algorithm::HS256, [0x5c; 32])?;
    /// let tokens = JwtAuthenticator::builder("https://login.example.com", "https://api.example.com")
    ///     .key(key)
    ///     // Keycloak: "organization": { "acme": { … }, "globex": { … } }
    ///     .map_principal(|claims, mut principal| {
    ///         let none = Rejection::new("token-organization");
    ///         let listed = claims["organization"].as_object().ok_or(none.clone())?;
    ///         let tenants = listed.keys().map(|name| TenantKey::id_or_slug(name));
    ///         let tenants: Vec<_> = tenants.collect::<Result<_, _>>().map_err(|_| none.clone())?;
    ///         if tenants.is_empty() {
    ///             return Err(none);
    ///         }
    ///         principal.reach = Reach::Set { tenants, default: None };
    ///         Ok(principal)
    ///     })
    ///     .build()?;
    /// # let _ = tokens;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Security
    /// The claims are verified, and whoever issued them may still let users choose some of them. The
    /// closure may change actor and reach. It can't widen the scope, change the times, the issuer or
    /// the claims, nor lead a [bound](Self::bound_to) issuer to another tenant. It is called once per
    /// token and has to depend on its arguments alone.
    pub fn map_principal(
        mut self,
        reading: impl Fn(&Value, Principal) -> Result<Principal, Rejection> + Send + Sync + 'static,
    ) -> Self {
        self.custom = Some(CustomMapping::new(reading));
        self
    }

    /// Refuses tokens that were taken back: issued before the epoch of their issuer, their user or
    /// service account, or a tenant they name. Tokens without `iat` are then refused.
    ///
    /// By default tokens hold until they expire.
    ///
    /// # Security
    /// - Looked at for every request, whether the token is remembered or not.
    /// - A token that lists several tenants is refused whole when one of them has taken it back. A
    ///   token that names no tenant is not held to the epoch of the tenant that a request chooses:
    ///   there the membership decides.
    /// - `iat` is the issuer's clock. If it runs ahead of yours, take back as of a moment that much
    ///   later.
    pub fn epochs(mut self, epochs: impl TokenEpochs + 'static) -> Self {
        self.epochs = Some(Box::new(epochs));
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
            epochs: self.epochs,
            cache: TokenCache::new(self.cache_capacity),
        })
    }

    fn check_claims(&self) -> Result<(), JwtConfigError> {
        let application = self
            .actor
            .applications
            .iter()
            .map(|(name, _)| name.as_str());
        let service = match &self.actor.services {
            Some(ServiceMapping::Claim { name, .. }) => Some(name.as_str()),
            _ => None,
        };
        for name in self.rights.names().chain(application).chain(service) {
            if name.is_empty() || REGISTERED.contains(&name) {
                let message = format!("`{name}` can't be used here; name another claim");
                return Err(JwtConfigError::new(Kind::ClaimName, message));
            }
        }
        if self.actor.services.is_some() && self.rights.scopes.is_empty() {
            let message =
                "service accounts have no membership; say by `scope_claim` what they may do";
            return Err(JwtConfigError::new(Kind::ServiceScope, message));
        }
        Ok(())
    }
}
