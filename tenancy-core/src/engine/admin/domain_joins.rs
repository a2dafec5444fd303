//! Rules by which people join by their address's domain: made, removed and listed.

use serde_json::json;

use super::Admin;
use crate::{
    ChangeAction, DomainName, OperatorRight, StoreError, StoreErrorKind, TenantId, change::Change,
    domain_join::DomainJoin, engine::author::Stale,
};

impl Admin {
    /// Lets people with a verified address at a domain [join](crate::domain_join) a tenant, or replaces the rule that the
    /// tenant has for it.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] where the role gives more than a [member's](crate::SystemRole::Member), or more than the
    /// caller may give; and a [`StoreError`] if there is no such tenant. That another tenant has the domain too is none, and
    /// is not told: see [`JoinMode::Automatic`](crate::domain_join::JoinMode::Automatic).
    ///
    /// ```
    /// # use tenancy_core::{Tenancy, TenantContext, domain_join::{DomainJoin, JoinMode, VerifiedDomain}};
    /// # async fn handler(context: TenantContext, domain: VerifiedDomain) -> Result<(), Box<dyn std::error::Error>> {
    /// let rule = DomainJoin::new(context.tenant_id(), domain, JoinMode::Suggested, "member".parse()?);
    /// let admin = context.tenancy().admin(context.authority("members:manage")?);
    /// admin.put_domain_join(&rule).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put_domain_join(&self, rule: &DomainJoin) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::DomainJoinPut, rule.tenant)
            .to("domain", &rule.domain)
            .with(json!({ "mode": rule.mode.as_str(), "role": rule.role }));
        let stores = self.stores();
        self.author
            .make_as(change, Stale::Nothing, async |caller, record| {
                if let Some(caller) = &caller {
                    self.may_offer(caller, &rule.role, &[]).await?;
                }
                if !self.is_member_like(rule.tenant, &rule.role).await? {
                    return Err(StoreError::new(
                        StoreErrorKind::Forbidden,
                        format!(
                            "the role `{}` is more than a member's, which nobody gets by a domain; invite those who \
                             need it",
                            rule.role
                        ),
                    ));
                }
                stores.domain_join_store()?.put_domain_join(rule, &record).await
            })
            .await
    }

    /// Ends a tenant's rule for a domain. Who has joined by it stays.
    ///
    /// # Errors
    /// A [`StoreError`] if there is no such tenant.
    pub async fn remove_domain_join(
        &self,
        tenant: TenantId,
        domain: &DomainName,
    ) -> Result<(), StoreError> {
        let change = Change::new(ChangeAction::DomainJoinRemove, tenant).to("domain", domain);
        let stores = self.stores();
        self.author
            .make_as(change, Stale::Nothing, async |_, record| {
                let store = stores.domain_join_store()?;
                store.remove_domain_join(tenant, domain, &record).await
            })
            .await
    }

    /// A tenant's rules in the order of their domains, 1,000 at most.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    pub async fn list_domain_joins(&self, tenant: TenantId) -> Result<Vec<DomainJoin>, StoreError> {
        self.author
            .may_list(
                "domain-joins",
                OperatorRight::ReadTenants,
                (Some(tenant), None),
            )
            .await?;
        self.stores()
            .domain_join_store()?
            .list_domain_joins(tenant)
            .await
    }
}
