//! The operators' routes: they belong to no tenant.

use actix_web::{HttpResponse, web};
use tenancy::{
    Refusal, RefusalKind, Tenancy, TenantId, TenantStatus, UserId,
    actix::{Principal, TenancyMiddleware},
    danger,
};

use crate::error::Error;

pub(crate) struct Operators {
    tenancy: Tenancy,
    operator: UserId,
}

/// `POST /operator/tenants/{id}/suspend` and `/activate`, for the user whose id `NOTES_OPERATOR` is.
pub(crate) fn routes(config: &mut web::ServiceConfig, operators: &web::Data<Operators>) {
    config.service(
        web::scope("/operator/tenants/{id}")
            .app_data(operators.clone())
            .service(web::resource("/suspend").route(web::post().to(suspend)))
            .service(web::resource("/activate").route(web::post().to(activate)))
            .wrap(TenancyMiddleware::new(&operators.tenancy).central()),
    );
}

async fn suspend(
    operators: web::Data<Operators>,
    caller: Principal,
    tenant: web::Path<TenantId>,
) -> Result<HttpResponse, Error> {
    operators
        .set_status(&caller, tenant.into_inner(), TenantStatus::Suspended)
        .await
}

async fn activate(
    operators: web::Data<Operators>,
    caller: Principal,
    tenant: web::Path<TenantId>,
) -> Result<HttpResponse, Error> {
    operators
        .set_status(&caller, tenant.into_inner(), TenantStatus::Active)
        .await
}

impl Operators {
    pub(crate) fn new(tenancy: &Tenancy) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self {
            tenancy: tenancy.clone(),
            operator: std::env::var("NOTES_OPERATOR")?.parse()?,
        })
    }

    async fn set_status(
        &self,
        caller: &Principal,
        tenant: TenantId,
        to: TenantStatus,
    ) -> Result<HttpResponse, Error> {
        if caller.user() != Some(self.operator) {
            return Err(Refusal::new(RefusalKind::PermissionDenied, "not-an-operator").into());
        }
        let operator = danger::operator(caller, None, "by an operator's route")?;
        match self.tenancy.admin(operator).set_status(tenant, to).await {
            Ok(_) => Ok(HttpResponse::NoContent().finish()),
            Err(error) => {
                tracing::warn!(%error, "a tenant's status was not changed");
                Ok(HttpResponse::Conflict().finish())
            }
        }
    }
}
