//! What a tenant had before it was counted.

use serde_json::json;

use super::{Admin, usage::no_answer};
use crate::{
    ChangeAction, Cost, ProjectId, StoreError, StoreErrorKind, TenantId,
    change::Change,
    quota::{MAX_AMOUNT, OperationId},
};

impl Admin {
    /// Counts what a tenant holds already: an application that begins to count projects has some. It counts in full,
    /// also above the limit: then nothing more is admitted, and nothing is removed. Afterwards it is
    /// [given back](crate::quota::QuotaService::give_back) like the rest.
    ///
    /// It counts for the tenant, and for the whole service if that has such a limit. For what counts for each project by
    /// itself there is [`import_held_in`](Self::import_held_in). Limits of single keys and callers are not among them. Begin to count new ones first, and import what is older than that.
    ///
    /// The same `id` counts once, as long as the counters remember operations: 24 hours, unless they are told otherwise.
    /// What became of an import that failed is unknown: repeat it with its id.
    ///
    /// It is recorded as `held.import` by the engine's [audit sink](crate::TenancyBuilder::audit), and not in one
    /// transaction with what is counted. So the trail of the store has it where that sink writes there. There is no event.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if nothing counts what the tenant holds of this meter, or the amount is more than
    /// [`MAX_AMOUNT`]; [`StoreErrorKind::NotFound`] if there is no such tenant; [`StoreErrorKind::ReadOnly`] if the
    /// engine was built without [quotas](crate::TenancyBuilder::quotas); [`StoreErrorKind::Unavailable`] if directory or
    /// counters did not answer.
    ///
    /// ```
    /// # use tenancy_core::{Cost, StoreError, Tenancy, TenantId, danger, quota::OperationId};
    /// # async fn example(tenancy: Tenancy, acme: TenantId) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("projects are counted from today on")?);
    /// // From `SELECT count(*) FROM projects`.
    /// let there_are = Cost::new("projects", 40);
    /// let id = OperationId::of(["import of projects", "2027-01-15"]);
    /// admin.import_held(acme, &there_are, id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Security
    /// It takes room from the tenant, and gives none: on a caller's authority, ask for a permission that only you give.
    pub async fn import_held(
        &self,
        tenant: TenantId,
        held: &Cost,
        id: OperationId,
    ) -> Result<(), StoreError> {
        self.import(tenant, None, held, id).await
    }

    /// The same of one project: it counts for the project alone. What the tenant holds as a whole, its projects together, is
    /// imported with [`import_held`](Self::import_held), where it has a limit too.
    ///
    /// # Errors
    /// As [`import_held`](Self::import_held), and [`StoreErrorKind::NotFound`] if the tenant has no such project, or, where
    /// the authority is a caller's, none that [admits](crate::Project::admits) the caller.
    ///
    /// ```
    /// # use tenancy_core::{Cost, Project, StoreError, Tenancy, danger, quota::OperationId};
    /// # async fn example(tenancy: Tenancy, roadmap: Project) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("boards are counted from today on")?);
    /// // From `SELECT project_id, count(*) FROM boards GROUP BY project_id`.
    /// let there_are = Cost::new("boards", 7);
    /// let id = OperationId::of(["import of boards", "2027-01-15"]);
    /// admin.import_held_in(roadmap.tenant, roadmap.id, &there_are, id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Security
    /// As [`import_held`](Self::import_held).
    pub async fn import_held_in(
        &self,
        tenant: TenantId,
        project: ProjectId,
        held: &Cost,
        id: OperationId,
    ) -> Result<(), StoreError> {
        self.import(tenant, Some(project), held, id).await
    }

    async fn import(
        &self,
        tenant: TenantId,
        project: Option<ProjectId>,
        held: &Cost,
        id: OperationId,
    ) -> Result<(), StoreError> {
        let mut change = Change::new(ChangeAction::HeldImport, tenant).to("tenant", tenant);
        if let Some(project) = project {
            change = change.within(Some(project)).to("project", project);
        }
        let change = change.with(json!({
            "meter": held.meter(),
            "amount": held.amount(),
            "operation": format!("{:032x}", id.as_u128()),
        }));
        self.make(change, async |_| {
            let invalid = |message: String| Err(StoreError::new(StoreErrorKind::Invalid, message));
            if held.amount() > MAX_AMOUNT {
                return invalid(format!("at most {MAX_AMOUNT} of something are counted"));
            }
            let quotas = self.quotas()?;
            let record = self.record_of(tenant).await?;
            if let Some(project) = project {
                self.is_there(tenant, project).await?;
            }
            let by = self.measure_of(&record).await?;
            let import = quotas.import((&record, project), &by, held, id);
            let Some(import) = import.map_err(|refusal| no_answer(&refusal))? else {
                return invalid(format!(
                    "nothing counts what this {} holds of `{}`: it is not the name of a `Meter::held`, or the tenant's \
                     plan has no such limit of it",
                    project.map_or("tenant", |_| "project"),
                    held.meter()
                ));
            };
            if held.amount() == 0 {
                return Ok(());
            }
            let kept = quotas.keep(&import).await;
            kept.map_err(|refusal| no_answer(&refusal))
        })
        .await
    }
}
