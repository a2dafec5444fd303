//! What a token's claims are taken for.

use serde_json::Value;

use super::{
    super::{
        actor::ServiceMapping,
        custom::CustomMapping,
        error::{JwtConfigError, JwtConfigErrorKind as Kind},
        mapping::{REGISTERED, SubjectMapping},
    },
    JwtAuthenticatorBuilder,
};
use crate::{PermissionRegistry, Principal, Rejection, TenantKey};

impl JwtAuthenticatorBuilder {
    /// How `sub` names a user or a service account; [`SubjectMapping::Uuid`] by default.
    pub fn subject(mut self, mapping: SubjectMapping) -> Self {
        self.actor.subject = mapping;
        self
    }

    /// Binds each token to the one tenant that this claim names, by id or slug.
    ///
    /// The principal gets [`AllowedTenants::Bound`](crate::AllowedTenants::Bound); a token without the claim is
    /// rejected. The name is that of a claim on the top level.
    pub fn tenant_claim(mut self, name: impl Into<String>) -> Self {
        self.tenants.bound = Some(name.into());
        self
    }

    /// Limits each token to the tenants that this claim lists: an array of 1 to 256 ids or slugs.
    ///
    /// The principal gets [`AllowedTenants::Set`](crate::AllowedTenants::Set); a token without the claim is
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
    /// Every principal gets [`AllowedTenants::Bound`](crate::AllowedTenants::Bound) to it. A configured tenant claim
    /// need not be there then; one that is has to name this tenant, in the same form (id or slug),
    /// and a list has to contain it.
    ///
    /// # Security
    /// Without it the operator of the issuer vouches for members of every tenant. Also set
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
    ///     AllowedTenants, Rejection, TenantKey,
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
    ///         principal.allowed_tenants = AllowedTenants::Set { tenants, default: None };
    ///         Ok(principal)
    ///     })
    ///     .build()?;
    /// # let _ = tokens;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Security
    /// The claims are verified, and their issuer may still let users choose some of them. The
    /// closure may change the allowed_tenants, and the actor to a user or a service account; a token that it
    /// makes anything else of is rejected. It can't widen the scope, change the times, the issuer or
    /// the claims, nor lead a [bound](Self::bound_to) issuer to another tenant. It is called once per
    /// token and has to depend on its arguments alone.
    pub fn map_principal(
        mut self,
        reading: impl Fn(&Value, Principal) -> Result<Principal, Rejection> + Send + Sync + 'static,
    ) -> Self {
        self.custom = Some(CustomMapping::new(reading));
        self
    }

    pub(super) fn check_claims(&self) -> Result<(), JwtConfigError> {
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
