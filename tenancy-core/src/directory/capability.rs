//! What an engine can change, one store for each capability.

use std::{borrow::Cow, fmt, sync::Arc};

use super::{
    DirectoryStore, MembershipStore, NameStore, ProjectStore, RevocationStore, RoleStore,
    StoreError, StoreErrorKind, TenantStore,
};
use crate::{
    AccountStore, AuditDirectory, AuditTrail, ConfigError, IssuerStore, OwnershipStore,
    PasswordResetStore, PlanStore, ProvisioningStore, domain_join::DomainJoinStore,
    invitation::InvitationStore, quota::LimitOverrideStore,
};

/// How a store is given, where the directory does not say it better.
const ADVICE: &str = "give the engine a store of them with `TenancyBuilder::stores`";

macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident: $trait:ident, $text:literal, $set:ident, $get:ident;)+) => {
        /// Something that an engine can change and list, if it has the store for it.
        ///
        /// See [`TenancyBuilder::require`](crate::TenancyBuilder::require).
        ///
        /// ```
        /// use tenancy_core::{Capability, Stores};
        ///
        /// let lacking: Vec<_> = (Capability::ALL.iter())
        ///     .filter(|capability| !Stores::none().has(**capability))
        ///     .map(|capability| capability.as_str())
        ///     .collect();
        /// assert!(lacking.contains(&"API keys"));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Capability {
            $($(#[$doc])* $variant,)+
            /// API keys: [`KeyStore`](crate::key::KeyStore), given with
            /// [`TenancyBuilder::keys`](crate::TenancyBuilder::keys).
            Keys,
        }

        impl Capability {
            /// Every capability.
            pub const ALL: &[Self] = &[$(Self::$variant,)+ Self::Keys];

            /// What is changed, in the plural.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Keys => "API keys",
                }
            }
        }

        /// The stores of an engine: one for each [`Capability`], or none.
        ///
        /// A directory that also changes what it holds says so by [`Directory::stores`](super::Directory::stores).
        /// For any other one, stores are given to [`TenancyBuilder::stores`](crate::TenancyBuilder::stores).
        /// A call whose store is missing is [`StoreErrorKind::ReadOnly`].
        ///
        /// ```
        /// use tenancy_core::{Capability, MemoryDirectory, Stores};
        ///
        /// // Members and projects are managed here, and everything else elsewhere.
        /// let directory = MemoryDirectory::new();
        /// let stores = Stores::none().members(directory.clone()).projects(directory);
        /// assert!(stores.has(Capability::Members));
        /// assert!(!stores.has(Capability::Tenants));
        /// ```
        #[derive(Clone)]
        #[must_use]
        pub struct Stores {
            $($set: Option<Arc<dyn $trait>>,)+
            advice: Cow<'static, str>,
        }

        impl Stores {
            /// No store: of a directory that only reads.
            pub const fn none() -> Self {
                Self {
                    $($set: None,)+
                    advice: Cow::Borrowed(ADVICE),
                }
            }

            $(
                #[doc = concat!("The same, with a store of ", $text, ".")]
                pub fn $set(mut self, store: impl $trait + 'static) -> Self {
                    self.$set = Some(Arc::new(store));
                    self
                }

                #[cfg_attr(
                    not(feature = "argon2"),
                    allow(dead_code, reason = "only passwords need the store of their resets")
                )]
                pub(crate) fn $get(&self) -> Result<&dyn $trait, StoreError> {
                    match &self.$set {
                        Some(store) => Ok(&**store),
                        None => Err(self.missing(Capability::$variant)),
                    }
                }
            )+

            /// Whether there is a store for this. API keys are given with
            /// [`TenancyBuilder::keys`](crate::TenancyBuilder::keys), and never here.
            #[must_use]
            pub fn has(&self, capability: Capability) -> bool {
                match capability {
                    $(Capability::$variant => self.$set.is_some(),)+
                    Capability::Keys => false,
                }
            }

            /// These stores, and those of another where there is none here. How to give what neither has,
            /// the other one says.
            pub(crate) fn or(self, other: Self) -> Self {
                Self {
                    $($set: self.$set.or(other.$set),)+
                    advice: other.advice,
                }
            }
        }
    };
}

capabilities! {
    /// Tenants' records: [`TenantStore`].
    Tenants: TenantStore, "tenants", tenants, tenant_store;
    /// Domains and other systems' ids: [`NameStore`].
    Names: NameStore, "names of tenants", names, name_store;
    /// Memberships: [`MembershipStore`].
    Members: MembershipStore, "members", members, membership_store;
    /// Offers of ownership: [`OwnershipStore`].
    Ownership: OwnershipStore, "offers of ownership", ownership, ownership_store;
    /// Projects, and roles in them: [`ProjectStore`].
    Projects: ProjectStore, "projects", projects, project_store;
    /// Roles that tenants define: [`RoleStore`].
    Roles: RoleStore, "roles", roles, role_store;
    /// Taking tokens back: [`RevocationStore`].
    TokenRevocations: RevocationStore, "token revocations", token_revocations, revocation_store;
    /// Rules by which people join by domain: [`DomainJoinStore`](crate::domain_join::DomainJoinStore).
    DomainJoins: DomainJoinStore, "joining by domain", domain_joins, domain_join_store;
    /// Invitations: [`InvitationStore`](crate::invitation::InvitationStore).
    Invitations: InvitationStore, "invitations", invitations, invitation_store;
    /// Issuers that tenants bring along: [`IssuerStore`].
    Issuers: IssuerStore, "issuers", issuers, issuer_store;
    /// Versions of plans: [`PlanStore`].
    Plans: PlanStore, "plans", plans, plan_store;
    /// Limits of single tenants: [`LimitOverrideStore`](crate::quota::LimitOverrideStore).
    LimitOverrides: LimitOverrideStore, "limits of single tenants", limit_overrides, limit_override_store;
    /// Making tenants with all that they begin with: [`ProvisioningStore`].
    Provisioning: ProvisioningStore, "tenants that are made as one", provisioning, provisioning_store;
    /// Accounts of the service: [`AccountStore`].
    Accounts: AccountStore, "accounts", accounts, account_store;
    /// Password resets: [`PasswordResetStore`].
    PasswordResets: PasswordResetStore, "password resets", password_resets, password_reset_store;
    /// Listing the audit trail: [`AuditDirectory`]. Changes write into it by themselves, and
    /// [`TenancyBuilder::audit`](crate::TenancyBuilder::audit) says where everything else is recorded.
    Audit: AuditDirectory, "audit entries", audit, audit_directory;
    /// Chains of the audit trail: [`AuditTrail`].
    Trail: AuditTrail, "chains of the audit trail", trail, trail_store;
}

impl Stores {
    /// A store that has every capability of a directory.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tenancy_core::{Capability, MemoryDirectory, Stores};
    ///
    /// let stores = Stores::of(&Arc::new(MemoryDirectory::new()));
    /// assert!(stores.has(Capability::Roles));
    /// ```
    pub fn of<S: DirectoryStore>(store: &Arc<S>) -> Self {
        Self {
            tenants: Some(Arc::clone(store) as Arc<dyn TenantStore>),
            names: Some(Arc::clone(store) as Arc<dyn NameStore>),
            members: Some(Arc::clone(store) as Arc<dyn MembershipStore>),
            projects: Some(Arc::clone(store) as Arc<dyn ProjectStore>),
            roles: Some(Arc::clone(store) as Arc<dyn RoleStore>),
            token_revocations: Some(Arc::clone(store) as Arc<dyn RevocationStore>),
            ..Self::none()
        }
    }

    /// The same, with what somebody has to do who needs a store that is not here. It ends the message of
    /// an error. Default: to call [`TenancyBuilder::stores`](crate::TenancyBuilder::stores).
    pub fn advice(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.advice = advice.into();
        self
    }

    /// What a call fails with whose store is missing.
    fn missing(&self, capability: Capability) -> StoreError {
        let message = format!(
            "this engine can't change or list {capability}: its directory only reads; {}",
            self.advice
        );
        StoreError::new(StoreErrorKind::ReadOnly, message)
    }

    /// Checks that there is a store for each of these.
    pub(crate) fn require(&self, required: &[Capability]) -> Result<(), ConfigError> {
        let missing = |capability: &&Capability| !self.has(**capability);
        let missing: Vec<_> = required
            .iter()
            .filter(missing)
            .map(|it| it.as_str())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ConfigError::new(format!(
            "this engine has to change {}, and its directory only reads them; {}",
            missing.join(", "),
            self.advice
        )))
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stored = Capability::ALL.iter().filter(|it| self.has(**it));
        f.debug_set().entries(stored).finish()
    }
}
