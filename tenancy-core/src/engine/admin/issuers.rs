//! Issuers that tenants bring along: added, removed and listed.

use serde_json::json;

use super::{Admin, list::MAX_PAGE};
use crate::{
    ChangeAction, ChangeRecord, IssuerRecord, OperatorRight, StoreError, StoreErrorKind, TenantId,
    change::Change, engine::author::Stale,
};

impl Admin {
    /// Has a tenant trust an issuer, or replaces the configuration of one that it trusts. The entry and the event
    /// have the name, and not the configuration.
    ///
    /// An issuer counts when the application's [`IssuerSource`](crate::jwt::IssuerSource) is asked about it: in this
    /// process after [`StoredIssuers::forget`](crate::jwt::StoredIssuers::forget), and elsewhere within its
    /// `max_age`.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`](crate::StoreErrorKind::Conflict) if another tenant trusts it,
    /// [`StoreErrorKind::Invalid`](crate::StoreErrorKind::Invalid) if the record [can't be
    /// stored](IssuerRecord::check), [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) where the
    /// authority is an operator's, or that of a caller who is no owner, whose credential may be used for less than
    /// everything, or is an API key, and a [`StoreError`] if there is no such tenant.
    ///
    /// # Security
    /// Whoever runs an issuer signs tokens of every member of the tenant, its owners included. So an owner puts it, or
    /// the service itself, and no operator: one acts as a user by an impersonation alone. Make sure that the tenant
    /// runs the issuer: whoever is first has the name.
    ///
    /// ```
    /// # use tenancy_core::{IssuerRecord, StoreError, Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    /// let config = serde_json::json!({ "audience": "https://api.example.com" });
    /// let sign_on = IssuerRecord::new("https://sso.acme.example", context.tenant_id(), config);
    /// tenancy.admin(context.authority("sign-on:manage")?).put_issuer(&sign_on).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put_issuer(&self, issuer: &IssuerRecord) -> Result<(), StoreError> {
        issuer.check()?;
        let operators = self.author.engine.inner().operators.as_ref();
        if operators.is_some_and(|operators| operators.has_issuer(&issuer.issuer)) {
            // As if another tenant had it: whose it is, is no tenant's business.
            let taken = format!("the issuer `{}` is taken", issuer.issuer);
            return Err(StoreError::new(StoreErrorKind::Conflict, taken));
        }
        let change = Change::new(ChangeAction::IssuerPut, issuer.tenant)
            .to("tenant", issuer.tenant)
            .with(json!({ "issuer": issuer.issuer }));
        let stores = self.stores();
        self.author
            .make_as(change, Stale::Nothing, async |caller, record| {
                if let Some(caller) = caller {
                    self.may_speak_for_everybody(&caller).await?;
                }
                stores.issuer_store()?.put_issuer(issuer, &record).await
            })
            .await
    }

    /// Has a tenant trust an issuer no more. One of another tenant stays as it is. When that counts,
    /// [`put_issuer`](Self::put_issuer) says.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn remove_issuer(&self, tenant: TenantId, issuer: &str) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::IssuerRemove, tenant)
            .to("tenant", tenant)
            .with(json!({ "issuer": issuer }));
        let stores = self.stores();
        self.author
            .make(change, Stale::Nothing, async |record: ChangeRecord| {
                let store = stores.issuer_store()?;
                store.remove_issuer(tenant, issuer, &record).await
            })
            .await
    }

    /// The issuers that a tenant trusts, in the order of the bytes of their names.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn list_issuers(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<IssuerRecord>, StoreError> {
        self.author
            .may_list("issuers", OperatorRight::ReadTenants, (Some(tenant), None))
            .await?;
        let store = self.stores().issuer_store()?;
        store.list_issuers(tenant, after, limit.min(MAX_PAGE)).await
    }
}
