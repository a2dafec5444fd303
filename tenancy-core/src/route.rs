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
    pub(crate) anonymous_if_stale: bool,
    pub(crate) anonymous_if_not_member: bool,
}

/// Whether a route has a tenant.
///
/// ```
/// use tenancy_core::{RouteNeeds, TenantNeed};
///
/// assert_eq!(RouteNeeds::tenant().tenant_need(), TenantNeed::Required);
/// assert_eq!(RouteNeeds::central().tenant_need(), TenantNeed::Central);
/// ```
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
    const fn of(tenant: TenantNeed) -> Self {
        Self {
            tenant,
            anonymous: false,
            anonymous_if_stale: false,
            anonymous_if_not_member: false,
        }
    }

    /// The route serves one tenant, for an authenticated caller. The default of every layer.
    pub const fn tenant() -> Self {
        Self::of(TenantNeed::Required)
    }

    /// The route serves a tenant if the request names one; a credential may be absent, and then
    /// there is no tenant.
    pub const fn optional() -> Self {
        Self::of(TenantNeed::Optional)
    }

    /// The route has no tenant. A credential may be absent; one that is sent must be valid.
    pub const fn central() -> Self {
        Self::of(TenantNeed::Central)
    }

    /// Also admits callers without a credential, as [`Actor::Anonymous`](crate::Actor::Anonymous)
    /// without any permission.
    ///
    /// # Security
    /// Every caller who can name the tenant's host reaches the handler. Meant for a tenant's public pages.
    pub const fn or_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Also admits callers without a credential, and takes one that does not hold for none: it has
    /// expired, was taken back, can't be read, or nobody knows it. Includes
    /// [`or_anonymous`](Self::or_anonymous).
    ///
    /// For public pages, for the page where one signs in, and for signing out: a browser goes on
    /// sending the cookie of a session that has ended.
    ///
    /// # Security
    /// The caller has no permission then, and the audit trail has no entry of the credential. Two
    /// credentials are still refused, and so is a request that a page of another site may have sent.
    pub const fn or_anonymous_if_stale(mut self) -> Self {
        self.anonymous = true;
        self.anonymous_if_stale = true;
        self
    }

    /// Also admits callers without a credential, and takes a caller who is signed in and no member of
    /// the tenant for a visitor: [`Actor::Anonymous`](crate::Actor::Anonymous), without any
    /// permission. Includes [`or_anonymous`](Self::or_anonymous).
    ///
    /// For public pages where one cookie is valid at all tenants' hosts: a member of one tenant may
    /// then see what everybody sees of another one.
    ///
    /// # Security
    /// A caller who would be told that there is no such tenant is told what anybody without a
    /// credential is told, and no more. The context does not say who it is.
    pub const fn or_anonymous_if_not_member(mut self) -> Self {
        self.anonymous = true;
        self.anonymous_if_not_member = true;
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

    /// Whether these needs admit every anonymous caller whom the other needs admit.
    #[must_use]
    pub const fn admits_anonymous_as(self, other: Self) -> bool {
        self.anonymous
            && self.anonymous_if_stale >= other.anonymous_if_stale
            && self.anonymous_if_not_member >= other.anonymous_if_not_member
    }

    /// Whether the route has a tenant.
    #[must_use]
    pub const fn tenant_need(self) -> TenantNeed {
        self.tenant
    }
}
