//! Customers and subscriptions in memory.

use async_trait::async_trait;
use tenancy_core::{TenantId, Timestamp};

use super::{Kept, MemoryBilling, at};
use crate::{
    billing::{
        BillingStoreError, BindOutcome, CustomerId, StoredSubscription, SubscriptionStore,
        UpdateOutcome, check_text,
    },
    subscription::{Subscription, SubscriptionState, SubscriptionUpdate},
};

#[derive(Debug)]
pub(super) struct Held {
    tenant: TenantId,
    subscription: Subscription,
    /// What was told last of it.
    told: Option<(SubscriptionState, Option<Box<str>>)>,
}

impl Held {
    /// Takes note of what is to be told now, and says whether it is another than before.
    fn tell(&mut self, now: Timestamp) -> bool {
        let plan = self.subscription.newest().plan.clone();
        let told = Some((self.subscription.state(now), plan));
        let is_new = self.told != told;
        self.told = told;
        is_new
    }
}

impl Kept {
    fn tenant_of(&self, provider: &str, customer: &str) -> Option<TenantId> {
        let mut bound = self.customers.iter();
        let bound = bound.find(|((of, id), _)| **of == *provider && **id == *customer);
        bound.map(|(_, tenant)| *tenant)
    }
}

#[async_trait]
impl SubscriptionStore for MemoryBilling {
    async fn bind_customer(
        &self,
        tenant: TenantId,
        provider: &str,
        customer: &CustomerId,
    ) -> Result<BindOutcome, BillingStoreError> {
        check_text("the name of a billing system", provider)?;
        check_text("the id of a customer", customer.as_str())?;
        let mut kept = self.kept();
        Ok(match kept.tenant_of(provider, customer.as_str()) {
            Some(of) if of == tenant => BindOutcome::AlreadyBound,
            Some(_) => BindOutcome::OfAnotherTenant,
            None => {
                let customer = at(provider, customer.as_str());
                kept.customers.push((customer, tenant));
                BindOutcome::Bound
            }
        })
    }

    async fn tenant_of(
        &self,
        provider: &str,
        customer: &CustomerId,
    ) -> Result<Option<TenantId>, BillingStoreError> {
        Ok(self.kept().tenant_of(provider, customer.as_str()))
    }

    async fn customer_of(
        &self,
        tenant: TenantId,
        provider: &str,
    ) -> Result<Option<CustomerId>, BillingStoreError> {
        let kept = self.kept();
        let mut bound = kept.customers.iter().rev();
        let last = bound.find(|((of, _), whose)| **of == *provider && *whose == tenant);
        Ok(last.map(|((_, id), _)| CustomerId::new(id.clone())))
    }

    async fn apply(
        &self,
        provider: &str,
        update: &SubscriptionUpdate,
    ) -> Result<UpdateOutcome, BillingStoreError> {
        update.check_stored(provider)?;
        let now = self.clock.now();
        let mut kept = self.kept();
        let Some(tenant) = kept.tenant_of(provider, &update.customer) else {
            return Ok(UpdateOutcome::UnknownCustomer);
        };
        let key = at(provider, &update.subscription);
        let known = kept.subscriptions.get(&key);
        if known.is_some_and(|known| known.tenant != tenant) {
            return Ok(UpdateOutcome::OfAnotherTenant);
        }
        let subscription = known.map(|known| known.subscription.clone());
        let (subscription, outcome) = UpdateOutcome::of(subscription, update, self.grace);
        if outcome == UpdateOutcome::Replayed {
            return Ok(outcome);
        }
        let told = known.and_then(|known| known.told.clone());
        let mut held = Held {
            tenant,
            subscription,
            told,
        };
        held.tell(now);
        kept.subscriptions.insert(key, held);
        Ok(outcome)
    }

    async fn subscriptions(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<StoredSubscription>, BillingStoreError> {
        let kept = self.kept();
        let of_tenant = kept.subscriptions.iter();
        let of_tenant = of_tenant.filter(|(_, held)| held.tenant == tenant);
        let stored = of_tenant.map(|((provider, _), held)| {
            StoredSubscription::new(provider.clone(), held.subscription.clone())
        });
        Ok(StoredSubscription::newest_first(stored.collect()))
    }

    async fn note_changes(&self, most: u32) -> Result<u32, BillingStoreError> {
        let now = self.clock.now();
        let mut changed = 0;
        for held in self.kept().subscriptions.values_mut() {
            if changed < most && held.tell(now) {
                changed += 1;
            }
        }
        Ok(changed)
    }
}
