//! `PgBilling`: billing that is kept in the schema `tenancy`, for all processes on one database.

mod credits;
mod periods;
mod reports;
mod subscriptions;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::Row as _;
use tenancy_core::{Clock, SystemClock, TenantId};
use tenancy_usage::{
    billing::{BillingStoreError, BillingStoreErrorKind, ThresholdStore, check_text},
    threshold::ThresholdKey,
};

use crate::{
    RegistryPool,
    connections::{Connections, Settings},
    danger::SystemPool,
    session,
    usage::{Instant, begin},
};

/// Keeps billing in the schema `tenancy`, for all processes on one database: it is a
/// [`BillingStore`](tenancy_usage::billing::BillingStore).
///
/// | what | table | event in the outbox, in the same transaction |
/// |---|---|---|
/// | thresholds that were told | `billing_thresholds` | `usage.threshold-crossed`: `meter`, `percent`, `period_starts_at` |
/// | periods that are closed, and their invoices | `billing_invoices` | `billing.period-closed`: `invoice`, `period_starts_at`, `period_ends_at`, `currency`, `total` |
/// | customers | `billing_customers` | none |
/// | subscriptions, and what was heard of them | `billing_subscriptions` | `billing.subscription-changed`: `provider`, `subscription`, `customer`, `state`, `plan`, `state_before`, `plan_before` |
/// | entries of ledgers | `billing_credits` | none; a grant has an entry in the trail, `billing.grant` |
/// | reports to billing systems | `billing_reports` | `billing.report-refused` for what is stuck: `provider`, `id`, `meter`, `why` |
///
/// What is done to the periods, the ledger, the subscriptions and the reports of one tenant is done one after the other, under a lock
/// of the database for that tenant.
///
/// ```no_run
/// use std::time::Duration;
///
/// use tenancy_core::{Clock as _, SystemClock};
/// use tenancy_sqlx::{PgBilling, RegistryPool};
/// use tenancy_usage::billing::{BillingStoreError, WebhookSecret, receive};
///
/// /// At the start.
/// async fn connect() -> Result<PgBilling, Box<dyn std::error::Error>> {
///     let registry = RegistryPool::connect("postgres://tenancy_registry@localhost/notes").await?;
///     Ok(PgBilling::builder(&registry).grace(Duration::from_secs(14 * 86_400)).build())
/// }
///
/// /// The route for webhooks: the status of the answer.
/// async fn webhook(billing: &PgBilling, secret: &WebhookSecret, signature: &str, body: &[u8]) -> u16 {
///     match receive(billing, "stripe", secret, signature, body, SystemClock.now()).await {
///         Ok(outcome) => outcome.status(),
///         Err(_) => 503,
///     }
/// }
/// # let _ = (connect, webhook);
/// ```
///
/// # Security
/// It reads and writes through the registry login, for any tenant, by functions. The login of the service, whose SQL a caller may
/// reach, has nothing of billing.
#[derive(Clone)]
pub struct PgBilling {
    pool: Connections,
    grace: Duration,
    clock: Arc<dyn Clock>,
}

/// How [`PgBilling`] keeps billing.
///
/// ```no_run
/// use std::time::Duration;
///
/// use tenancy_sqlx::{PgBilling, RegistryPool};
///
/// # fn example(registry: &RegistryPool) {
/// let billing = PgBilling::builder(registry).grace(Duration::from_secs(3 * 86_400)).max_connections(4).build();
/// # drop(billing);
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct PgBillingBuilder {
    pool: Connections,
    connections: u32,
    grace: Duration,
    clock: Arc<dyn Clock>,
}

impl PgBillingBuilder {
    /// For how long after a failed payment a tenant is still served. Default: 7 days. Give each process the same.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Where it reads the time. Default: the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many connections it has, beside those of the pool that it is made of. Default: 2.
    pub const fn max_connections(mut self, most: u32) -> Self {
        self.connections = if most == 0 { 1 } else { most };
        self
    }

    /// Its connections are opened when they are needed.
    #[must_use]
    pub fn build(self) -> PgBilling {
        PgBilling {
            pool: self.pool.beside(Settings::new(self.connections)),
            grace: self.grace,
            clock: self.clock,
        }
    }
}

impl PgBilling {
    /// Keeps billing in the database of the registry login, with connections of its own.
    pub fn builder(registry: &RegistryPool) -> PgBillingBuilder {
        Self::through(registry.raw())
    }

    /// Reads billing through the system login, for programs of operators. What it is asked to write is an error of the database.
    ///
    /// ```no_run
    /// use tenancy_core::{Clock as _, SystemClock, TenantId};
    /// use tenancy_sqlx::{PgBilling, danger::SystemPool};
    /// use tenancy_usage::billing::SubscriptionStore as _;
    ///
    /// # async fn example(acme: TenantId) -> Result<(), Box<dyn std::error::Error>> {
    /// let system = SystemPool::connect("postgres://tenancy_system@localhost/notes").await?;
    /// for stored in PgBilling::of_operators(&system).build().subscriptions(acme).await? {
    ///     println!("{}", stored.subscription.state(SystemClock.now()).as_str());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn of_operators(system: &SystemPool) -> PgBillingBuilder {
        Self::through(system.raw())
    }

    fn through(pool: &Connections) -> PgBillingBuilder {
        PgBillingBuilder {
            pool: pool.clone(),
            connections: 2,
            grace: Duration::from_secs(7 * 86_400),
            clock: Arc::new(SystemClock),
        }
    }

    /// Closes its connections. Call it when the last request has ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn begin(&self) -> Result<session::Open, BillingStoreError> {
        begin(&self.pool)
            .await
            .map_err(BillingStoreError::unavailable)
    }

    /// Begins a transaction in which nobody else changes what is kept of a tenant.
    async fn begin_for(&self, tenant: TenantId) -> Result<session::Open, BillingStoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, tenant).await?;
        Ok(tx)
    }
}

impl fmt::Debug for PgBilling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgBilling")
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a value it refuses for good; all else may be asked again.
fn failed(error: sqlx::Error) -> BillingStoreError {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.is_some_and(|code| code.starts_with("22")) {
        return BillingStoreError::new(
            BillingStoreErrorKind::Refused,
            "the database can't store this; its log says why",
        );
    }
    BillingStoreError::unavailable(error)
}

async fn lock(tx: &mut session::Open, tenant: TenantId) -> Result<(), BillingStoreError> {
    sqlx::query("SELECT tenancy.lock_billing($1)")
        .bind(tenant.as_uuid())
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    Ok(())
}

async fn commit(tx: session::Open) -> Result<(), BillingStoreError> {
    tx.commit().await.map_err(BillingStoreError::unavailable)
}

/// As PostgreSQL has a number of rows.
fn at_most(most: u32) -> i32 {
    i32::try_from(most).unwrap_or(i32::MAX)
}

#[async_trait]
impl ThresholdStore for PgBilling {
    async fn cross(&self, keys: &[ThresholdKey]) -> Result<Vec<ThresholdKey>, BillingStoreError> {
        for key in keys {
            check_text("the meter of a threshold", &key.meter)?;
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        let rows = sqlx::query("SELECT tenancy.cross_thresholds($1, $2, $3, $4)")
            .bind(
                keys.iter()
                    .map(|key| key.tenant.as_uuid())
                    .collect::<Vec<_>>(),
            )
            .bind(
                keys.iter()
                    .map(|key| key.meter.to_string())
                    .collect::<Vec<_>>(),
            )
            .bind(
                keys.iter()
                    .map(|key| Instant(key.period))
                    .collect::<Vec<_>>(),
            )
            .bind(
                keys.iter()
                    .map(|key| i16::from(key.percent))
                    .collect::<Vec<_>>(),
            )
            .fetch_all(&mut *tx)
            .await
            .map_err(failed)?;
        let mut new = Vec::with_capacity(rows.len());
        for row in &rows {
            let place: i64 = row.try_get(0).map_err(failed)?;
            let place = usize::try_from(place - 1).ok();
            new.extend(place.and_then(|place| keys.get(place)).cloned());
        }
        commit(tx).await?;
        Ok(new)
    }
}
