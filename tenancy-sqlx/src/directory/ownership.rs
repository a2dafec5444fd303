//! Offers of ownership: made, found, accepted and ended.

use async_trait::async_trait;
use sqlx::{PgConnection, postgres::PgRow};
use tenancy_core::{
    ChangeRecord, DirectoryError, OwnershipOffer, OwnershipStore, OwnershipTerms, StoreError,
    SystemRole, TenantId, Timestamp, UserId,
};

use super::{
    PgDirectory,
    rows::{column, text},
    write::{commit, refused, require_tenant},
};

/// A moment that is bound as microseconds.
macro_rules! moment {
    ($bound:literal) => {
        concat!(
            "timestamptz 'epoch' + ",
            $bound,
            " * interval '1 microsecond'"
        )
    };
}

#[async_trait]
impl OwnershipStore for PgDirectory {
    async fn put_ownership_offer(
        &self,
        offer: &OwnershipOffer,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(offer.tenant).await?;
        require_tenant(&mut tx, offer.tenant).await?;
        let parties = parties(&mut tx, offer).await?;
        if open_offer(&mut tx, offer.tenant, at).await?.is_some() {
            return Err(StoreError::another_ownership_offer());
        }
        if offer.from == offer.to || !parties.rest || parties.owns_already {
            return Err(StoreError::ownership_parties());
        }
        // One that has expired may be there still.
        sqlx::query("DELETE FROM tenancy.ownership_offers WHERE tenant_id = $1")
            .bind(offer.tenant.as_uuid())
            .execute(&mut *tx)
            .await
            .map_err(refused)?;
        sqlx::query(concat!(
            "INSERT INTO tenancy.ownership_offers (tenant_id, from_user, to_user, from_becomes, expires_at)
             VALUES ($1, $2, $3, $4, ",
            moment!("$5"),
            ")"
        ))
        .bind(offer.tenant.as_uuid())
        .bind(offer.from.as_uuid())
        .bind(offer.to.as_uuid())
        .bind(offer.from_becomes.as_str())
        .bind(offer.expires_at.as_unix_micros())
        .execute(&mut *tx)
        .await
        .map_err(|error| match error.as_database_error() {
            // Another owner has made one at the same time.
            Some(said) if said.is_unique_violation() => StoreError::another_ownership_offer(),
            _ => refused(error),
        })?;
        commit(tx, with).await
    }

    async fn find_ownership_offer(
        &self,
        tenant: TenantId,
        at: Timestamp,
    ) -> Result<Option<OwnershipOffer>, StoreError> {
        let mut tx = self.list_as(tenant).await?;
        open_offer(&mut tx, tenant, at).await
    }

    async fn accept_ownership(
        &self,
        offer: &OwnershipOffer,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(offer.tenant).await?;
        // The memberships before the offer, as where a change of one ends it.
        if !parties(&mut tx, offer).await?.rest {
            return Err(match open_offer(&mut tx, offer.tenant, at).await? {
                Some(_) => StoreError::ownership_parties(),
                None => StoreError::no_ownership_offer(),
            });
        }
        end(&mut tx, offer, at).await?;
        // The new owner before the old one goes: the tenant has one all the time.
        let owner = SystemRole::Owner.name();
        for (user, role) in [(offer.to, &owner), (offer.from, &offer.from_becomes)] {
            sqlx::query(
                "UPDATE tenancy.memberships SET role = $3 WHERE tenant_id = $1 AND user_id = $2",
            )
            .bind(offer.tenant.as_uuid())
            .bind(user.as_uuid())
            .bind(role.as_str())
            .execute(&mut *tx)
            .await
            .map_err(refused)?;
        }
        commit(tx, with).await
    }

    async fn end_ownership_offer(
        &self,
        offer: &OwnershipOffer,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let mut tx = self.write_as(offer.tenant).await?;
        end(&mut tx, offer, at).await?;
        commit(tx, with).await
    }
}

/// The offer of a tenant that is open at this moment. Of clocks that differ the earliest end counts, that of this server as
/// well.
pub(super) async fn open_offer(
    connection: &mut PgConnection,
    tenant: TenantId,
    at: Timestamp,
) -> Result<Option<OwnershipOffer>, StoreError> {
    let row = sqlx::query(concat!(
        "SELECT tenant_id, from_user, to_user, from_becomes,
             (extract(epoch FROM expires_at) * 1000000)::bigint AS expires_at
         FROM tenancy.ownership_offers
         WHERE tenant_id = $1 AND expires_at > statement_timestamp() AND expires_at > ",
        moment!("$2")
    ))
    .bind(tenant.as_uuid())
    .bind(at.as_unix_micros())
    .fetch_optional(connection)
    .await
    .map_err(refused)?;
    let read = row.as_ref().map(offer).transpose();
    read.map_err(StoreError::unavailable)
}

/// Ends this very offer, which is open by each clock.
async fn end(
    connection: &mut PgConnection,
    offer: &OwnershipOffer,
    at: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query(concat!(
        "DELETE FROM tenancy.ownership_offers
         WHERE tenant_id = $1 AND from_user = $2 AND to_user = $3 AND from_becomes = $4
             AND expires_at = ",
        moment!("$5"),
        " AND expires_at > statement_timestamp() AND expires_at > ",
        moment!("$6")
    ))
    .bind(offer.tenant.as_uuid())
    .bind(offer.from.as_uuid())
    .bind(offer.to.as_uuid())
    .bind(offer.from_becomes.as_str())
    .bind(offer.expires_at.as_unix_micros())
    .bind(at.as_unix_micros())
    .execute(connection)
    .await
    .map_err(refused)?;
    if done.rows_affected() == 0 {
        return Err(StoreError::no_ownership_offer());
    }
    Ok(())
}

/// Whom an offer is between.
struct Parties {
    /// Whether it rests on an active owner and an active member.
    rest: bool,
    /// Whether whom it is for is an owner already.
    owns_already: bool,
}

/// Looks at both memberships, which stay as they are until the transaction ends.
async fn parties(
    connection: &mut PgConnection,
    offer: &OwnershipOffer,
) -> Result<Parties, StoreError> {
    let rows = sqlx::query(
        "SELECT user_id, role FROM tenancy.memberships
         WHERE tenant_id = $1 AND user_id IN ($2, $3) AND status = 'active'
         ORDER BY user_id FOR NO KEY UPDATE",
    )
    .bind(offer.tenant.as_uuid())
    .bind(offer.from.as_uuid())
    .bind(offer.to.as_uuid())
    .fetch_all(connection)
    .await
    .map_err(refused)?;
    let (mut gives, mut owns_already, mut gets) = (false, false, false);
    for row in &rows {
        let read = || Ok((column(row, "user_id")?, text(row, "role")?));
        let (user, role) =
            read().map_err(|error: DirectoryError| StoreError::unavailable(error))?;
        let (user, owns) = (UserId::from_uuid(user), role == SystemRole::Owner.as_str());
        if user == offer.from {
            gives = owns;
        } else {
            (gets, owns_already) = (true, owns);
        }
    }
    Ok(Parties {
        rest: gives && gets,
        owns_already,
    })
}

fn offer(row: &PgRow) -> Result<OwnershipOffer, DirectoryError> {
    let mut offer = OwnershipOffer::new(
        TenantId::from_uuid(column(row, "tenant_id")?),
        UserId::from_uuid(column(row, "from_user")?),
        UserId::from_uuid(column(row, "to_user")?),
        &OwnershipTerms::new(),
        Timestamp::EPOCH,
    );
    offer.from_becomes = text(row, "from_becomes")?
        .parse()
        .map_err(DirectoryError::new)?;
    offer.expires_at = Timestamp::from_unix_micros(column(row, "expires_at")?);
    Ok(offer)
}
