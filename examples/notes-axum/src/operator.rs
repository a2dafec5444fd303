//! The operators' routes: they belong to no tenant.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use tenancy::{
    Refusal, RefusalKind, Tenancy, TenantId, TenantStatus, UserId,
    axum::{Principal, TenancyLayer},
    danger,
};

use crate::error::Error;

#[derive(Clone)]
struct Operators {
    tenancy: Tenancy,
    operator: UserId,
}

/// `POST /operator/tenants/{id}/suspend` and `/activate`, for the user whose id `NOTES_OPERATOR` is.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(
    tenancy: &Tenancy,
) -> Result<Router<S>, Box<dyn std::error::Error>> {
    let operator = std::env::var("NOTES_OPERATOR")?.parse()?;
    Ok(Router::new()
        .route("/operator/tenants/{id}/suspend", post(suspend))
        .route("/operator/tenants/{id}/activate", post(activate))
        .layer(TenancyLayer::new(tenancy).central())
        .with_state(Operators {
            tenancy: tenancy.clone(),
            operator,
        }))
}

async fn suspend(
    State(operators): State<Operators>,
    caller: Principal,
    Path(tenant): Path<TenantId>,
) -> Result<StatusCode, Error> {
    operators
        .set_status(&caller, tenant, TenantStatus::Suspended)
        .await
}

async fn activate(
    State(operators): State<Operators>,
    caller: Principal,
    Path(tenant): Path<TenantId>,
) -> Result<StatusCode, Error> {
    operators
        .set_status(&caller, tenant, TenantStatus::Active)
        .await
}

impl Operators {
    async fn set_status(
        &self,
        caller: &Principal,
        tenant: TenantId,
        to: TenantStatus,
    ) -> Result<StatusCode, Error> {
        if caller.user() != Some(self.operator) {
            return Err(Refusal::new(RefusalKind::PermissionDenied, "not-an-operator").into());
        }
        let operator = danger::operator(caller, None, "by an operator's route")?;
        match self.tenancy.admin(operator).set_status(tenant, to).await {
            Ok(_) => Ok(StatusCode::NO_CONTENT),
            Err(error) => {
                tracing::warn!(%error, "a tenant's status was not changed");
                Ok(StatusCode::CONFLICT)
            }
        }
    }
}
