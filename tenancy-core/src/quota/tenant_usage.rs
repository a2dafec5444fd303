//! `TenantUsage`: what a tenant has used and left, for operators.

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{
    LimitUsage, OfTenant, QuotaService, Scope,
    charging::{Known, Payer},
};
use crate::{Plan, ProjectId, Refusal, Slug, TenantId, TenantRecord};

/// What a tenant has used of its limits, what is left, and when it is back: from
/// [`Admin::usage`](crate::Admin::usage).
///
/// ```
/// use tenancy_core::quota::TenantUsage;
///
/// /// Whom to call before they call.
/// fn is_nearly_out(tenant: &TenantUsage) -> bool {
///     tenant.limits.iter().any(|limit| limit.standing.used * 10 >= limit.standing.limit * 9)
/// }
/// # let _ = is_nearly_out;
/// ```
///
/// As JSON, for a page that shows it: `tenant` with its `id`, `slug` and `name`, `plan` (or `null`), and `limits`, each as
/// [`LimitUsage`] is. The rest of the record is left out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TenantUsage {
    /// The tenant's record.
    pub record: TenantRecord,
    /// The plan that it counts as; `None` if there is none.
    pub plan: Option<String>,
    /// Where each limit of the tenant as a whole stands. Those of single callers, keys and projects are not among them,
    /// nor what is not counted. None if its plan is not in the book.
    pub limits: Vec<LimitUsage>,
}

impl Serialize for TenantUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Tenant<'a> {
            id: TenantId,
            slug: &'a Slug,
            name: &'a str,
        }
        let mut shown = serializer.serialize_struct("TenantUsage", 3)?;
        let tenant = Tenant {
            id: self.record.id,
            slug: &self.record.slug,
            name: &self.record.name,
        };
        shown.serialize_field("tenant", &tenant)?;
        shown.serialize_field("plan", &self.plan)?;
        shown.serialize_field("limits", &self.limits)?;
        shown.end()
    }
}

/// By what a tenant's use is measured.
pub(crate) struct Measure {
    pub(crate) has_plans: bool,
    /// The name of the plan that it counts as.
    pub(crate) plan_name: Option<String>,
    /// The plan, if there is one of that name.
    pub(crate) plan: Option<Plan>,
    /// What is stored for it in the place of limits of its plan.
    pub(crate) overrides: Option<OfTenant>,
}

impl QuotaService {
    /// What a project has used, without anybody who calls.
    pub(crate) async fn usage_in(
        &self,
        (record, project): (&TenantRecord, ProjectId),
        by: &Measure,
    ) -> Result<Vec<LimitUsage>, Refusal> {
        if by.has_plans && by.plan.is_none() {
            return Ok(Vec::new());
        }
        let payer = Payer {
            tenant: Some(record.id),
            known: Known::Of(record, by),
            asked_project: Some(project),
            has_plans: by.has_plans,
            ..Payer::nobody()
        };
        let of_projects = |scope| scope == Scope::Project;
        self.0.usage(payer, of_projects).await
    }

    /// What a tenant has used, without anybody who calls.
    pub(crate) async fn usage_of(
        &self,
        record: TenantRecord,
        by: Measure,
    ) -> Result<TenantUsage, Refusal> {
        let limits = if by.has_plans && by.plan.is_none() {
            Vec::new()
        } else {
            let payer = Payer {
                tenant: Some(record.id),
                known: Known::Of(&record, &by),
                has_plans: by.has_plans,
                ..Payer::nobody()
            };
            self.0.usage(payer, |scope| scope == Scope::Tenant).await?
        };
        Ok(TenantUsage {
            plan: by.plan_name,
            limits,
            record,
        })
    }
}
