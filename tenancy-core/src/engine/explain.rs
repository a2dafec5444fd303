//! Explanations of whole decisions: what lets somebody do something in a tenant, or keeps them from it.

use std::fmt;

use super::{
    Admin, Tenancy, TenantContext,
    decide::subject,
    load::{LoadError, MembershipOf, ProjectOf, RolesOf, load},
};
use crate::{
    Actor, Explanation, MembershipStatus, OperatorRight, PermissionDecision, PermissionSet, Plan,
    Principal, ProjectId, Refusal, RefusalKind, RoleName, RoleTable, StoreError, TenantId, UserId,
    cut::cut,
};

/// What decides whether somebody may do something, for people to read: made by [`TenantContext::explain`] for the caller,
/// and by [`Admin::explain`] for a member.
///
/// `Display` says it in one sentence, which names roles, grants and the plan. It is for those who manage the tenant.
///
/// ```
/// # use tenancy_core::{AccessExplanation, DecidedBy, Refusal, TenantContext};
/// # async fn handler(context: TenantContext) -> Result<(), Refusal> {
/// let why: AccessExplanation = context.explain("notes:purge").await?;
/// if why.decided_by() == DecidedBy::Plan {
///     println!("buy a larger plan: {why}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessExplanation {
    permission: String,
    is_allowed: bool,
    decided_by: DecidedBy,
    in_tenant: Option<Explanation>,
    in_project: Option<Explanation>,
    plan: Option<String>,
}

/// What decides whether somebody may do something.
///
/// Each comes before the ones below it: where several would refuse, the first one is told.
///
/// ```
/// use tenancy_core::DecidedBy;
///
/// assert_eq!(DecidedBy::TenantRole.as_str(), "tenant-role");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecidedBy {
    /// The application never declared such a permission.
    Permission,
    /// The tenant is not served at present.
    Tenant,
    /// The user is no active member of the tenant.
    Membership,
    /// The project is unknown or archived, or does not [admit](crate::Project::admits) the user.
    Project,
    /// A grant or a denial of the role in the tenant. Its denial is told before that of the role in the project.
    TenantRole,
    /// A grant or a denial of the role in the project.
    ProjectRole,
    /// No role has a grant that covers it.
    NoGrant,
    /// What the credential is limited to, or what that of a service account permits.
    Credential,
    /// What the tenant's plan permits.
    Plan,
    /// It is the service itself, which may do everything.
    Service,
}

impl DecidedBy {
    /// The name as text, for an answer in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Tenant => "tenant",
            Self::Membership => "membership",
            Self::Project => "project",
            Self::TenantRole => "tenant-role",
            Self::ProjectRole => "project-role",
            Self::NoGrant => "no-grant",
            Self::Credential => "credential",
            Self::Plan => "plan",
            Self::Service => "service",
        }
    }
}

impl AccessExplanation {
    /// The permission that was asked about, cut to 64 bytes if it was never declared.
    #[must_use]
    pub fn permission(&self) -> &str {
        &self.permission
    }

    /// Whether it is allowed.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.is_allowed
    }

    /// What decides.
    #[must_use]
    pub const fn decided_by(&self) -> DecidedBy {
        self.decided_by
    }

    /// What the role in the tenant says by itself; `None` where no role counts.
    #[must_use]
    pub const fn in_tenant(&self) -> Option<&Explanation> {
        self.in_tenant.as_ref()
    }

    /// What the role in the project says by itself; `None` where there is none.
    #[must_use]
    pub const fn in_project(&self) -> Option<&Explanation> {
        self.in_project.as_ref()
    }

    /// The grant or the denial that decides, and the role that has it: the role of the member, or one that it includes.
    /// `None` where no role decides, or the role denies everything because of a problem.
    #[must_use]
    pub fn grant(&self) -> Option<(&str, &RoleName)> {
        let by = self.role_that_decides()?;
        Some((by.grant()?, by.role()?))
    }

    fn role_that_decides(&self) -> Option<&Explanation> {
        match self.decided_by {
            DecidedBy::TenantRole => self.in_tenant.as_ref(),
            DecidedBy::ProjectRole => self.in_project.as_ref(),
            _ => None,
        }
    }

    fn new(permission: &str) -> Self {
        Self {
            permission: permission.to_owned(),
            is_allowed: false,
            decided_by: DecidedBy::NoGrant,
            in_tenant: None,
            in_project: None,
            plan: None,
        }
    }

    const fn refused_by(mut self, by: DecidedBy) -> Self {
        (self.is_allowed, self.decided_by) = (false, by);
        self
    }

    const fn allowed_by(mut self, by: DecidedBy) -> Self {
        (self.is_allowed, self.decided_by) = (true, by);
        self
    }

    /// What the roles come to together: what either denies stays denied.
    fn by_roles(
        mut self,
        table: &RoleTable,
        in_tenant: &RoleName,
        in_project: Option<&RoleName>,
    ) -> Self {
        let permission = self.permission.clone();
        let explain = |role: &RoleName| table.explain(role, &permission);
        self.in_tenant = Some(explain(in_tenant));
        self.in_project = in_project.map(explain);
        // A role that is gone denies everything, as it does when it is decided.
        let says = |role: Option<&RoleName>, what: PermissionDecision| {
            role.is_some_and(|role| match table.mask(role) {
                Some(_) => table.explain(role, &permission).decision() == what,
                None => what == PermissionDecision::ExplicitDeny,
            })
        };
        let (denied, allowed) = (
            PermissionDecision::ExplicitDeny,
            PermissionDecision::Allowed,
        );
        if says(Some(in_tenant), denied) {
            self.refused_by(DecidedBy::TenantRole)
        } else if says(in_project, denied) {
            self.refused_by(DecidedBy::ProjectRole)
        } else if says(Some(in_tenant), allowed) {
            self.allowed_by(DecidedBy::TenantRole)
        } else if says(in_project, allowed) {
            self.allowed_by(DecidedBy::ProjectRole)
        } else {
            self.refused_by(DecidedBy::NoGrant)
        }
    }
}

impl fmt::Display for AccessExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permission = &self.permission;
        match self.decided_by {
            DecidedBy::Permission => write!(f, "no permission `{permission}` is declared"),
            DecidedBy::Tenant => f.write_str("the tenant is not served at present"),
            DecidedBy::Membership => f.write_str("the user is no active member of the tenant"),
            DecidedBy::Project => f.write_str("there is no such project for the user"),
            DecidedBy::NoGrant => match &self.in_project {
                Some(_) => write!(f, "neither role has a grant that covers `{permission}`"),
                None => write!(f, "the role has no grant that covers `{permission}`"),
            },
            DecidedBy::TenantRole | DecidedBy::ProjectRole => {
                let place = match self.decided_by {
                    DecidedBy::TenantRole => "in the tenant",
                    _ => "in the project",
                };
                match self.role_that_decides() {
                    Some(by) => write!(f, "{place}, {by}"),
                    None => write!(f, "the role {place} decides about `{permission}`"),
                }
            }
            DecidedBy::Credential if self.is_allowed => {
                write!(f, "the credential permits `{permission}`")
            }
            DecidedBy::Credential => write!(f, "the credential does not reach `{permission}`"),
            DecidedBy::Plan => match &self.plan {
                Some(plan) => write!(f, "the plan `{plan}` does not permit `{permission}`"),
                None => write!(f, "the tenant has no plan that permits `{permission}`"),
            },
            DecidedBy::Service => f.write_str("the service itself may do everything"),
        }
    }
}

/// Who is asked about, and where.
struct Asked<'a> {
    tenant: TenantId,
    actor: &'a Actor,
    /// The user whose membership counts.
    user: Option<UserId>,
    scope: PermissionSet,
    project: Option<ProjectId>,
    /// The caller's credential, where a caller asks about itself.
    principal: Option<&'a Principal>,
    plan: Option<&'a Plan>,
}

impl TenantContext {
    /// Says what lets the caller do something here, or keeps the caller from it: a role in the tenant or in the project,
    /// by which of its grants or denials; the credential's scope; the tenant's plan.
    ///
    /// Roles are read anew. So it is what the next request will be told, where they have changed since this one was
    /// admitted. It records nothing.
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the directory does not answer.
    ///
    /// # Security
    /// It names roles and grants of the tenant. Show it to those who manage roles, or in a log.
    ///
    /// ```
    /// # async fn handler(context: tenancy_core::TenantContext) -> Result<(), tenancy_core::Refusal> {
    /// let why = context.explain("notes:write").await?;
    /// println!("{}: {why}", if why.is_allowed() { "allowed" } else { "refused" });
    /// # Ok(())
    /// # }
    /// ```
    pub async fn explain(&self, permission: &str) -> Result<AccessExplanation, Refusal> {
        let principal = self.principal();
        let asked = Asked {
            tenant: self.tenant_id(),
            actor: &principal.actor,
            user: subject(principal),
            scope: principal.scope,
            project: self.project_id(),
            principal: Some(principal),
            plan: self.plan(),
        };
        let mut told = explain(self.tenancy(), &asked, permission)
            .await
            .map_err(|error| {
                tracing::warn!(error = %error, "an explanation needs the directory, which does not answer");
                Refusal::new(RefusalKind::Unavailable, "directory-unavailable")
            })?;
        told.plan = self.plan_name().map(str::to_owned);
        Ok(told)
    }
}

impl Admin {
    /// Says what lets a user do something in a tenant, or in a project of it, or keeps the user from it. It is about the
    /// user signed in, with a credential that is not limited.
    ///
    /// Who is no member is told as such, whatever the user is elsewhere. It records nothing.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`](crate::StoreErrorKind::NotFound) if there is no such tenant, or, where the authority
    /// is a caller's, no such project for the caller; [`StoreErrorKind::Unavailable`](crate::StoreErrorKind::Unavailable)
    /// if the directory did not answer.
    ///
    /// ```
    /// # use tenancy_core::{Tenancy, TenantContext, UserId};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext, bob: UserId) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(context.authority("members:manage")?);
    /// let why = admin.explain(context.tenant_id(), bob, None, "notes:write").await?;
    /// println!("{why}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn explain(
        &self,
        tenant: TenantId,
        user: UserId,
        project: Option<ProjectId>,
        permission: &str,
    ) -> Result<AccessExplanation, StoreError> {
        self.author
            .may_list(
                "explanation",
                OperatorRight::ReadTenants,
                (Some(tenant), project),
            )
            .await?;
        let record = self.record_of(tenant).await?;
        let plan = self.plan_of(&record).await?;
        if !record.status.is_served() {
            return Ok(AccessExplanation::new(&short(permission)).refused_by(DecidedBy::Tenant));
        }
        let asked = Asked {
            tenant,
            actor: &Actor::User(user),
            user: Some(user),
            scope: PermissionSet::ALL,
            project,
            principal: None,
            plan: plan.as_ref(),
        };
        let engine = &self.author.engine;
        let told = explain(engine, &asked, permission).await;
        let mut told = told.map_err(|error| StoreError::unavailable(error.to_string()))?;
        told.plan = engine.plans().and_then(|plans| plans.name_of(&record));
        Ok(told)
    }
}

async fn explain(
    engine: &Tenancy,
    asked: &Asked<'_>,
    permission: &str,
) -> Result<AccessExplanation, LoadError> {
    let Some(id) = engine.permissions().id(permission) else {
        let told = AccessExplanation::new(&short(permission));
        return Ok(told.refused_by(DecidedBy::Permission));
    };
    let told = AccessExplanation::new(permission);
    if asked.actor.is_service_itself() {
        return Ok(told.allowed_by(DecidedBy::Service));
    }
    let in_tenant = match asked.user {
        Some(user) => {
            let member = load::<MembershipOf>(engine, &(asked.tenant, user)).await?;
            match member.filter(|member| member.status == MembershipStatus::Active) {
                Some(member) => Some(member.role.clone()),
                None => return Ok(told.refused_by(DecidedBy::Membership)),
            }
        }
        None => None,
    };
    let mut in_project = None;
    if let Some(project) = asked.project {
        let found = load::<ProjectOf>(engine, &(asked.tenant, project, asked.user)).await?;
        let found = found.filter(|found| {
            let in_tenant = in_tenant.as_ref();
            let admits = match asked.principal {
                Some(principal) => found.lets_in(principal, in_tenant),
                None => found.admits(asked.actor, in_tenant),
            };
            !found.project.archived && admits
        });
        match found {
            Some(found) => in_project.clone_from(&found.role),
            None => return Ok(told.refused_by(DecidedBy::Project)),
        }
    }
    let told = match &in_tenant {
        Some(role) => {
            let table = load::<RolesOf>(engine, &asked.tenant).await?;
            let base = &engine.inner().base_roles;
            let table = table.as_ref().unwrap_or(base);
            told.by_roles(table, role, in_project.as_ref())
        }
        None if matches!(asked.actor, Actor::Service(_)) => told.allowed_by(DecidedBy::Credential),
        None => told,
    };
    if !told.is_allowed {
        return Ok(told);
    }
    if !asked.scope.contains(id) {
        return Ok(told.refused_by(DecidedBy::Credential));
    }
    let permitted = asked.plan.map_or(PermissionSet::EMPTY, Plan::permitted);
    if engine.inner().plans.is_some() && !permitted.contains(id) {
        return Ok(told.refused_by(DecidedBy::Plan));
    }
    Ok(told)
}

/// Whoever wrote it chose its length.
fn short(permission: &str) -> String {
    cut(permission.to_owned(), 64)
}
