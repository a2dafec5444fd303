//! What a route needs of the tenancy: declared, never inferred.

mod policy;

pub use policy::RoutePolicy;

/// What a route needs.
///
/// ```
/// use tenancy_core::RouteNeeds;
///
/// let notes = RouteNeeds::tenant();
/// let landing_page = RouteNeeds::tenant().or_anonymous();
/// let sign_up = RouteNeeds::central();
/// assert_ne!(notes, landing_page);
/// # let _ = sign_up;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct RouteNeeds {
    pub(crate) tenant: TenantNeed,
    pub(crate) anonymous: bool,
}

/// Whether a route has a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TenantNeed {
    /// Always: a request that names none is refused.
    Required,
    /// If the request names one.
    Optional,
    /// Never: the route belongs to the service as a whole, such as sign-up or health.
    Central,
}

impl RouteNeeds {
    /// The route serves one tenant, for an authenticated caller. The default of every layer.
    pub const fn tenant() -> Self {
        Self {
            tenant: TenantNeed::Required,
            anonymous: false,
        }
    }

    /// The route serves a tenant if the request names one; a credential may be absent, and then
    /// there is no tenant.
    pub const fn optional() -> Self {
        Self {
            tenant: TenantNeed::Optional,
            anonymous: false,
        }
    }

    /// The route has no tenant. A credential may be absent; one that is sent must be valid.
    pub const fn central() -> Self {
        Self {
            tenant: TenantNeed::Central,
            anonymous: false,
        }
    }

    /// Also admits callers without a credential, as [`Actor::Anonymous`](crate::Actor::Anonymous)
    /// without any permission.
    ///
    /// # Security
    /// Whoever can name the tenant's host reaches the handler. Meant for a tenant's public pages.
    pub const fn or_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Takes the tenant's part from other needs, and leaves alone whether a credential is needed.
    pub const fn with_tenant_of(mut self, other: Self) -> Self {
        self.tenant = other.tenant;
        self
    }

    /// Whether the route admits callers without a credential.
    #[must_use]
    pub const fn admits_anonymous(self) -> bool {
        self.anonymous
    }

    /// Whether the route has a tenant.
    #[must_use]
    pub const fn tenant_need(self) -> TenantNeed {
        self.tenant
    }
}
