//! Customers, and what was heard of their subscriptions.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::{
    postgres::PgRow,
    types::{Json, Uuid},
};
use tenancy_core::TenantId;
use tenancy_usage::{
    billing::{
        BillingStoreError, BindOutcome, CustomerId, StoredSubscription, SubscriptionStore,
        UpdateOutcome, check_text,
    },
    subscription::{Subscription, SubscriptionUpdate},
};

use super::{PgBilling, at_most, commit, failed, lock};
use crate::{
    session,
    usage::{Instant, column},
};

#[async_trait]
impl SubscriptionStore for PgBilling {
    async fn bind_customer(
        &self,
        tenant: TenantId,
        provider: &str,
        customer: &CustomerId,
    ) -> Result<BindOutcome, BillingStoreError> {
        check_text("the name of a billing system", provider)?;
        check_text("the id of a customer", customer.as_str())?;
        let mut tx = self.begin().await?;
        let outcome: i16 = sqlx::query_scalar("SELECT tenancy.bind_customer($1, $2, $3)")
            .bind(tenant.as_uuid())
            .bind(provider)
            .bind(customer.as_str())
            .fetch_one(&mut *tx)
            .await
            .map_err(failed)?;
        commit(tx).await?;
        Ok(match outcome {
            0 => BindOutcome::Bound,
            1 => BindOutcome::AlreadyBound,
            _ => BindOutcome::OfAnotherTenant,
        })
    }

    async fn tenant_of(
        &self,
        provider: &str,
        customer: &CustomerId,
    ) -> Result<Option<TenantId>, BillingStoreError> {
        let mut tx = self.begin().await?;
        let tenant = tenant_of(&mut tx, provider, customer.as_str()).await?;
        tx.give_back();
        Ok(tenant)
    }

    async fn customer_of(
        &self,
        tenant: TenantId,
        provider: &str,
    ) -> Result<Option<CustomerId>, BillingStoreError> {
        let mut tx = self.begin().await?;
        let customer: Option<String> = sqlx::query_scalar("SELECT tenancy.find_customer($1, $2)")
            .bind(tenant.as_uuid())
            .bind(provider)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed)?;
        tx.give_back();
        Ok(customer.map(CustomerId::new))
    }

    async fn apply(
        &self,
        provider: &str,
        update: &SubscriptionUpdate,
    ) -> Result<UpdateOutcome, BillingStoreError> {
        update.check_stored(provider)?;
        let mut tx = self.begin().await?;
        let Some(tenant) = tenant_of(&mut tx, provider, &update.customer).await? else {
            return Ok(UpdateOutcome::UnknownCustomer);
        };
        lock(&mut tx, tenant).await?;
        let known = self.find(&mut tx, provider, &update.subscription).await?;
        let known = match known {
            Some((of, _)) if of != tenant => return Ok(UpdateOutcome::OfAnotherTenant),
            known => known.map(|(_, known)| known),
        };
        let (subscription, outcome) = UpdateOutcome::of(known, update, self.grace);
        if outcome != UpdateOutcome::Replayed {
            self.keep(&mut tx, tenant, provider, &subscription).await?;
            commit(tx).await?;
        }
        Ok(outcome)
    }

    async fn subscriptions(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<StoredSubscription>, BillingStoreError> {
        let mut tx = self.begin().await?;
        let rows =
            sqlx::query("SELECT s.provider, s.heard FROM tenancy.list_subscriptions($1) AS s")
                .bind(tenant.as_uuid())
                .fetch_all(&mut *tx)
                .await
                .map_err(failed)?;
        tx.give_back();
        let stored = rows.iter().map(|row| {
            let provider: String = column(row, "provider").map_err(failed)?;
            Ok(StoredSubscription::new(provider, self.heard(row)?))
        });
        let stored: Result<Vec<_>, BillingStoreError> = stored.collect();
        Ok(StoredSubscription::newest_first(stored?))
    }

    async fn note_changes(&self, most: u32) -> Result<u32, BillingStoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT s.provider, s.subscription, s.tenant_id
             FROM tenancy.list_changed_subscriptions($1, $2) AS s",
        )
        .bind(Instant(self.clock.now()))
        .bind(at_most(most))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
        tx.give_back();
        let mut changed = 0;
        for row in &rows {
            let tenant = TenantId::from_uuid(column(row, "tenant_id").map_err(failed)?);
            let provider: String = column(row, "provider").map_err(failed)?;
            let subscription: String = column(row, "subscription").map_err(failed)?;
            let mut tx = self.begin_for(tenant).await?;
            // As it is now: an update may have come meanwhile.
            if let Some((_, known)) = self.find(&mut tx, &provider, &subscription).await? {
                let is_told = self.keep(&mut tx, tenant, &provider, &known).await?;
                commit(tx).await?;
                changed += u32::from(is_told);
            }
        }
        Ok(changed)
    }
}

impl PgBilling {
    async fn find(
        &self,
        tx: &mut session::Open,
        provider: &str,
        subscription: &str,
    ) -> Result<Option<(TenantId, Subscription)>, BillingStoreError> {
        let row =
            sqlx::query("SELECT s.tenant_id, s.heard FROM tenancy.find_subscription($1, $2) AS s")
                .bind(provider)
                .bind(subscription)
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let tenant = TenantId::from_uuid(column(&row, "tenant_id").map_err(failed)?);
        Ok(Some((tenant, self.heard(&row)?)))
    }

    fn heard(&self, row: &PgRow) -> Result<Subscription, BillingStoreError> {
        let Json(heard): Json<Vec<Value>> = column(row, "heard").map_err(failed)?;
        let heard: Result<Vec<_>, _> = heard.iter().map(SubscriptionUpdate::from_json).collect();
        let nothing = || BillingStoreError::unreadable("a subscription", "heard");
        Subscription::heard_of(heard?, self.grace).ok_or_else(nothing)
    }

    /// Keeps a subscription as it stands now, and says whether that is news.
    async fn keep(
        &self,
        tx: &mut session::Open,
        tenant: TenantId,
        provider: &str,
        subscription: &Subscription,
    ) -> Result<bool, BillingStoreError> {
        let (now, newest) = (self.clock.now(), subscription.newest());
        let heard = subscription.heard().map(SubscriptionUpdate::to_json);
        sqlx::query_scalar("SELECT tenancy.keep_subscription($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(tenant.as_uuid())
            .bind(provider)
            .bind(&*newest.subscription)
            .bind(&*newest.customer)
            .bind(Json(heard.collect::<Vec<_>>()))
            .bind(subscription.state(now).as_str())
            .bind(newest.plan.as_deref())
            .bind(subscription.changes_at(now).map(Instant))
            .fetch_one(&mut **tx)
            .await
            .map_err(failed)
    }
}

async fn tenant_of(
    tx: &mut session::Open,
    provider: &str,
    customer: &str,
) -> Result<Option<TenantId>, BillingStoreError> {
    let tenant: Option<Uuid> = sqlx::query_scalar("SELECT tenancy.find_customer_tenant($1, $2)")
        .bind(provider)
        .bind(customer)
        .fetch_one(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(tenant.map(TenantId::from_uuid))
}
