//! Counting what is held with the rows of a transaction.

use sqlx::types::Uuid;
use tenancy_core::quota::{GiveBack, OperationId, Reservation};

use crate::{Error, ErrorKind, TenantTx};

impl TenantTx {
    /// Keeps what was reserved when this transaction commits, with its rows: a seat, a project. Where it rolls back, or
    /// is dropped, what was reserved is released.
    ///
    /// Reserve before the transaction begins: then nobody who is refused has begun one. Rows of other tenants' requests
    /// do not wait for this transaction, and the limit holds however many insert at once. What is reserved ends by itself
    /// after [`Limit::expires_after`](tenancy_core::quota::Limit::expires_after), a minute by default, unless it is kept
    /// before that.
    ///
    /// ```no_run
    /// use tenancy_core::{Cost, TenantContext};
    /// use tenancy_sqlx::TenantPool;
    ///
    /// async fn create(pool: &TenantPool, context: &TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    ///     let quotas = context.tenancy().quotas().ok_or("no quotas")?;
    ///     // 402 if the plan has no room.
    ///     let reserved = quotas.reserve(context, &[Cost::new("projects", 1)]).await?;
    ///     let mut tx = pool.begin(context).await?;
    ///     sqlx::query("INSERT INTO projects (name) VALUES ('new')").execute(&mut *tx).await?;
    ///     tx.keep(reserved).await?;
    ///     Ok(tx.commit().await?)
    /// }
    /// # let _ = create;
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotReserved`] if the reservation has ended, is not of what is held alone, is another tenant's, or the
    /// engine's counters are not [`PgCounters`](crate::PgCounters) in this database. Roll back then. Or what the database
    /// says.
    pub async fn keep(&mut self, reserved: Reservation) -> Result<(), Error> {
        let Some(operation) = reserved.held_alone() else {
            let why = "only what is held is kept with rows; reserve the rest by itself";
            return Err(Error::with_detail(ErrorKind::NotReserved, why.to_owned()));
        };
        confirm(self, operation, reserved.limits()).await?;
        self.note_kept(reserved);
        Ok(())
    }

    /// Gives something back when this transaction commits, with the rows that it removes.
    ///
    /// ```no_run
    /// use tenancy_core::{Cost, TenantContext};
    /// use tenancy_sqlx::TenantPool;
    ///
    /// async fn remove(pool: &TenantPool, context: &TenantContext, id: i64) -> Result<(), Box<dyn std::error::Error>> {
    ///     let quotas = context.tenancy().quotas().ok_or("no quotas")?;
    ///     let freed = quotas.prepare_give_back(context, &Cost::new("projects", 1)).await?;
    ///     let mut tx = pool.begin(context).await?;
    ///     let removed = sqlx::query("DELETE FROM projects WHERE id = $1").bind(id).execute(&mut *tx).await?;
    ///     if removed.rows_affected() == 1 {
    ///         tx.give_back(freed).await?;
    ///     }
    ///     Ok(tx.commit().await?)
    /// }
    /// # let _ = remove;
    /// ```
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub async fn give_back(&mut self, freed: GiveBack) -> Result<(), Error> {
        confirm(self, freed.operation(), freed.limits()).await
    }
}

async fn confirm(tx: &mut TenantTx, operation: OperationId, limits: usize) -> Result<(), Error> {
    if limits == 0 {
        return Ok(());
    }
    let confirmed: i32 = sqlx::query_scalar("SELECT tenancy.quota_confirm($1)")
        .bind(Uuid::from_u128(operation.as_u128()))
        .fetch_one(tx.unlogged())
        .await?;
    if usize::try_from(confirmed) == Ok(limits) {
        return Ok(());
    }
    let why = format!(
        "{confirmed} of {limits} limits had something reserved for this transaction's tenant; reserve \
         shortly before, with `PgCounters` in this database"
    );
    Err(Error::with_detail(ErrorKind::NotReserved, why))
}
