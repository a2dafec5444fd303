//! Counting what an application had before it counted.

use super::{
    Measure, MeterKind, Operation, OperationId, QuotaService, Scope, Settle, Take,
    charging::{Due, Known, Payer},
};
use crate::{Cost, ProjectId, Refusal, TenantId, TenantRecord, Timestamp};

/// What is to be kept, and the id by which that is done once.
pub(crate) struct Import {
    dues: Vec<Due>,
    operation: Operation,
    amount: u64,
    now: Timestamp,
}

impl QuotaService {
    /// What a tenant holds of a meter, to be kept beyond the limits of the tenant and the whole service, or what a project
    /// of it holds, beyond those of the project; `None` if nothing counts that.
    pub(crate) fn import(
        &self,
        (record, project): (&TenantRecord, Option<ProjectId>),
        by: &Measure,
        held: &Cost,
        id: OperationId,
    ) -> Result<Option<Import>, Refusal> {
        let payer = Payer {
            tenant: Some(record.id),
            known: Known::Of(record, by),
            asked_project: project,
            has_plans: by.has_plans,
            ..Payer::nobody()
        };
        let now = self.0.clock.now();
        let mut dues = self.0.usage_of(payer, &[Cost::new(held.meter(), 0)], now)?;
        dues.retain(|due| {
            let counts = match project {
                Some(_) => due.rule.scope == Scope::Project,
                None => matches!(due.rule.scope, Scope::Tenant | Scope::System),
            };
            due.kind == MeterKind::Held && counts
        });
        Ok((!dues.is_empty()).then(|| Import {
            dues,
            operation: operation((record.id, project), held.meter(), id),
            amount: held.amount(),
            now,
        }))
    }

    /// Keeps it, once. Nothing is taken of a limit, which would refuse; what then turns out to be kept counts in full.
    pub(crate) async fn keep(&self, import: &Import) -> Result<(), Refusal> {
        let takes = || import.dues.iter().map(Due::take);
        let counters = &self.0.counters;
        let nothing: Vec<Take<'_>> = takes().collect();
        let taken = counters.take(import.operation, &nothing, import.now);
        let taken = taken.answer().await;
        taken.map_err(|error| self.0.no_answer(&error))?;
        let all: Vec<_> = takes()
            .map(|take| Settle::new(take, import.amount))
            .collect();
        let settled = counters.settle(import.operation, &all, import.now);
        let settled = settled.answer().await;
        settled.map(drop).map_err(|error| self.0.no_answer(&error))
    }
}

/// Another tenant or project, another meter, or what is given back may have the same id.
fn operation(
    (tenant, project): (TenantId, Option<ProjectId>),
    meter: &str,
    id: OperationId,
) -> Operation {
    let tenant = tenant.to_string();
    let id = format!("{:032x}", id.as_u128());
    let project = project.map(|project| project.to_string());
    let parts = ["import", tenant.as_str(), meter, &id];
    Operation::repeatable(match &project {
        Some(project) => OperationId::of([&parts[..], &["project", project]].concat()),
        None => OperationId::of(parts),
    })
}
