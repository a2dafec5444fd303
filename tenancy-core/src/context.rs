//! The context of a request: proof that this caller may act for this tenant.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::de::DeserializeOwned;

use crate::{
    Actor, Generation, PermissionId, PermissionSet, Principal, ProjectId, Refusal, RefusalKind,
    RoleName, SettingsError, Tenancy, Tenant, TenantId, UserId,
};

/// One tenant, one principal, and what it may do: the only key to the tenant's data.
///
/// Only the engine makes one, from a verified credential, an active membership and a served
/// tenant. It is cheap to clone, `Send + 'static`, and all that a spawned task or a stream needs.
///
/// ```compile_fail
/// // There is no public constructor.
/// let context = tenancy_core::TenantContext { inner: todo!() };
/// ```
#[derive(Clone)]
pub struct TenantContext {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Tenancy,
    parts: Parts,
}

/// What a context consists of.
pub(crate) struct Parts {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) role: Option<RoleName>,
    pub(crate) project: Option<ProjectId>,
    pub(crate) permissions: PermissionSet,
    pub(crate) ip: Option<IpAddr>,
}

impl TenantContext {
    pub(crate) fn new(engine: Tenancy, parts: Parts) -> Self {
        Self {
            inner: Arc::new(Inner { engine, parts }),
        }
    }

    /// The tenant's record as it was when the request was admitted.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.inner.parts.tenant
    }

    /// The tenant's id.
    #[must_use]
    pub fn tenant_id(&self) -> TenantId {
        self.inner.parts.tenant.id
    }

    /// The tenant's generation when the request was admitted.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.inner.parts.tenant.generation
    }

    /// Who acts.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.inner.parts.principal
    }

    pub(crate) fn principal_arc(&self) -> &Arc<Principal> {
        &self.inner.parts.principal
    }

    /// The user who acts, if it is one.
    #[must_use]
    pub fn user_id(&self) -> Option<UserId> {
        self.inner.parts.principal.user()
    }

    /// The user's role in the tenant, if the actor is a user.
    #[must_use]
    pub fn role(&self) -> Option<&RoleName> {
        self.inner.parts.role.as_ref()
    }

    /// The project the request is for, if it named one.
    #[must_use]
    pub fn project_id(&self) -> Option<ProjectId> {
        self.inner.parts.project
    }

    /// Everything the principal may do here: its roles' permissions within its credential's scope.
    #[must_use]
    pub fn permissions(&self) -> PermissionSet {
        self.inner.parts.permissions
    }

    /// Whether the principal holds a permission. A few nanoseconds; records nothing.
    #[inline]
    #[must_use]
    pub fn allows(&self, permission: PermissionId) -> bool {
        self.inner.parts.permissions.contains(permission)
    }

    /// Requires a permission by name, and records a refusal.
    ///
    /// # Errors
    /// A [`Refusal`] with status 403 if the principal does not hold it, and with status 500 if the
    /// application never declared it; the log then names it.
    ///
    /// ```
    /// # fn handler(context: &tenancy_core::TenantContext) -> Result<(), tenancy_core::Refusal> {
    /// context.require("notes:write")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn require(&self, permission: &str) -> Result<(), Refusal> {
        match self.inner.engine.permissions().id(permission) {
            Some(id) if self.allows(id) => Ok(()),
            Some(_) => Err(self.denied(permission)),
            None => {
                tracing::error!(
                    permission,
                    "a handler requires a permission that was never declared; \
                     add it to the `PermissionRegistry`"
                );
                Err(Refusal::new(
                    RefusalKind::Misconfigured,
                    "permission-not-declared",
                ))
            }
        }
    }

    /// Requires a permission that was looked up at start, and records a refusal.
    ///
    /// # Errors
    /// A [`Refusal`] with status 403 if the principal does not hold it.
    pub fn require_id(&self, permission: PermissionId) -> Result<(), Refusal> {
        if self.allows(permission) {
            return Ok(());
        }
        Err(self.denied(
            self.inner
                .engine
                .permissions()
                .name(permission)
                .unwrap_or("unknown"),
        ))
    }

    fn denied(&self, permission: &str) -> Refusal {
        let parts = &self.inner.parts;
        self.inner.engine.record_denied(
            Refusal::permission_denied(permission),
            parts.tenant.id,
            parts.principal.actor.clone(),
            parts.ip,
            permission,
        )
    }

    /// The tenant's settings as the application's own type.
    ///
    /// # Errors
    /// [`SettingsError`] if what is stored does not fit the type.
    pub fn settings<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
    ) -> Result<Arc<T>, SettingsError> {
        self.inner.parts.tenant.settings.typed()
    }

    /// The engine that made this context.
    #[must_use]
    pub fn tenancy(&self) -> &Tenancy {
        &self.inner.engine
    }

    /// Records the context on a `tracing` span that declares any of the fields `tenant.id`,
    /// `tenant.slug`, `tenant.project`, `principal.kind`, `principal.id` and `principal.role`.
    pub fn record_on(&self, span: &tracing::Span) {
        if span.is_disabled() {
            return;
        }
        let parts = &self.inner.parts;
        span.record("tenant.id", tracing::field::display(parts.tenant.id));
        span.record("tenant.slug", parts.tenant.slug.as_str());
        span.record("principal.kind", parts.principal.actor.kind());
        match parts.principal.actor {
            Actor::User(id) => {
                span.record("principal.id", tracing::field::display(id));
            }
            Actor::Service(id) => {
                span.record("principal.id", tracing::field::display(id));
            }
            Actor::Anonymous | Actor::System => {}
        }
        if let Some(role) = &parts.role {
            span.record("principal.role", role.as_str());
        }
        if let Some(project) = parts.project {
            span.record("tenant.project", tracing::field::display(project));
        }
    }
}

impl fmt::Debug for TenantContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantContext")
            .field("tenant", &self.tenant_id())
            .field("actor", &self.inner.parts.principal.actor)
            .field("role", &self.inner.parts.role)
            .field("project", &self.inner.parts.project)
            .finish_non_exhaustive()
    }
}
