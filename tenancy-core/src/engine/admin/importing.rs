//! What a tenant had before it was counted.

use serde_json::json;

use super::{Admin, usage::no_answer};
use crate::{
    ChangeAction, Cost, StoreError, StoreErrorKind, TenantId,
    change::Change,
    quota::{MAX_AMOUNT, OperationId},
};

impl Admin {
    /// Counts what a tenant holds already: an application that begins to count projects has some. It counts in full,
    /// also above the limit: then nothing more is admitted, and nothing is removed. Afterwards it is
    /// [given back](crate::quota::QuotaService::give_back) like the rest.
    ///
    /// It counts for the tenant, and for the whole service if that has such a limit. Limits of single projects, keys and
    /// callers are not among them. Begin to count new ones first, and import what is older than that.
    ///
    /// The same `id` counts once, as long as the counters remember operations: 24 hours, unless they are told otherwise.
    /// What became of an import that failed is unknown: repeat it with its id.
    ///
    /// It is recorded as `held.import`, beside the counters and not in one transaction with them.
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
        let change = Change::new(ChangeAction::HeldImport, tenant)
            .to("tenant", tenant)
            .with(json!({
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
            let by = self.measure_of(&record).await?;
            let import = quotas.import(&record, &by, held, id);
            let Some(import) = import.map_err(|refusal| no_answer(&refusal))? else {
                return invalid(format!(
                    "nothing counts what this tenant holds of `{}`: it is not the name of a `Meter::held`, or the \
                     tenant's plan has no limit of it",
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
