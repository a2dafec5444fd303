//! Keeping the audit trail, by the system login: heads, verification, pruning, erasing.

mod digest;
mod erase;
mod verify;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row as _, types::Uuid};
use tenancy_core::{
    AuditTrail, ChainHash, ChainHead, ChainReport, ChangeRecord, DirectoryError, LinkedEntry,
    PersonErasure, Pruned, StoreError, TenantId, Timestamp, TrailChain,
};

use super::{
    PgDirectory,
    audit::{LINKED, PARTICULARS, entry},
    rows::column,
    write::{read_rows, refused, write_record},
};
use crate::{audit, options::Timeouts, session};

/// How many entries one transaction prunes at most.
const MOST: i32 = 10_000;

#[async_trait]
impl AuditTrail for PgDirectory {
    async fn list_heads(
        &self,
        after: Option<TrailChain>,
        limit: u32,
    ) -> Result<Vec<ChainHead>, StoreError> {
        let mut reading = self.list_all().await?;
        let rows = sqlx::query(
            "SELECT h.chain, h.seq, h.hash FROM tenancy.audit_heads AS h
             WHERE $1::uuid IS NULL OR h.chain > $1 ORDER BY h.chain LIMIT $2",
        )
        .bind(after.map(chain_id))
        .bind(i64::from(limit))
        .fetch_all(&mut *reading)
        .await;
        read_rows(rows, |row| {
            let chain: Uuid = column(row, "chain")?;
            let tenant = (!chain.is_nil()).then(|| TenantId::from_uuid(chain));
            Ok(ChainHead::new(
                tenant,
                number(column(row, "seq")?),
                hash(column(row, "hash")?)?,
            ))
        })
    }

    async fn verify_chain(
        &self,
        chain: TrailChain,
        anchors: &[ChainHead],
    ) -> Result<ChainReport, StoreError> {
        // One snapshot, so that what is linked or pruned meanwhile is no fault.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let batch = session::nobodys_batch(begin, &Timeouts::ACROSS_TENANTS);
        let begun = session::begin(self.operators()?, batch).await;
        let mut reading = begun.map_err(StoreError::unavailable)?;
        verify::verify(&mut reading, chain.tenant(), anchors).await
    }

    async fn list_linked(
        &self,
        chain: TrailChain,
        from: u64,
        to: u64,
    ) -> Result<Vec<LinkedEntry>, StoreError> {
        let bound = |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX);
        let mut reading = self.list_all().await?;
        let list = format!(
            "SELECT l.seq, {LINKED}
             FROM tenancy.audit_links AS l JOIN tenancy.audit_records AS e ON e.id = l.entry {PARTICULARS}
             WHERE l.chain = $1 AND l.seq BETWEEN $2 AND $3 ORDER BY l.seq"
        );
        let rows = sqlx::query(AssertSqlSafe(list))
            .bind(chain_id(chain))
            .bind(bound(from))
            .bind(bound(to))
            .fetch_all(&mut *reading)
            .await;
        read_rows(rows, |row| {
            Ok(LinkedEntry::new(number(column(row, "seq")?), entry(row)?))
        })
    }

    async fn seal(&self) -> Result<u64, StoreError> {
        let pool = self.operators()?;
        let mut sealed = 0;
        loop {
            match audit::seal(pool, audit::ROUND, true, false)
                .await
                .map_err(refused)?
            {
                // A round that is not full has linked all that there was when it began.
                some if i64::from(some) < i64::from(audit::ROUND) => {
                    return Ok(sealed + u64::from(some));
                }
                some => sealed += u64::from(some),
            }
        }
    }

    async fn find_oldest(&self, chain: TrailChain) -> Result<Option<Timestamp>, StoreError> {
        let mut reading = self.list_all().await?;
        let oldest: Option<i64> = sqlx::query_scalar(
            "SELECT (extract(epoch FROM coalesce(r.recorded_at, l.sealed_at)) * 1000000)::bigint
             FROM tenancy.audit_links AS l LEFT JOIN tenancy.audit_records AS r ON r.id = l.entry
             WHERE l.chain = $1 ORDER BY l.seq LIMIT 1",
        )
        .bind(chain_id(chain))
        .fetch_optional(&mut *reading)
        .await
        .map_err(refused)?;
        Ok(oldest.map(Timestamp::from_unix_micros))
    }

    async fn prune_chain(
        &self,
        chain: TrailChain,
        before: Timestamp,
        record: &ChangeRecord,
    ) -> Result<Pruned, StoreError> {
        let mut writing = self.write().await?;
        let row = sqlx::query(
            "SELECT removed, upto FROM tenancy.prune_trail($1,
                 timestamptz 'epoch' + $2::bigint * interval '1 microsecond', $3, $4)",
        )
        .bind(chain_id(chain))
        .bind(before.as_unix_micros())
        .bind(MOST)
        .bind(record.entry.id)
        .fetch_one(&mut *writing)
        .await
        .map_err(refused)?;
        let read = |name| {
            row.try_get(name)
                .map(number)
                .map_err(StoreError::unavailable)
        };
        let pruned = Pruned::new(read("removed")?, read("upto")?);
        if pruned.removed == 0 {
            return Ok(pruned);
        }
        let mut record = record.clone();
        record.entry = record.entry.details(serde_json::json!({
            "removed": pruned.removed, "upto": pruned.upto, "before": before.to_string(),
        }));
        write_record(&mut writing, chain.tenant(), &record).await?;
        writing.commit_unrecorded().await?;
        Ok(pruned)
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        loop {
            let mut writing = self.write().await?;
            let dropped: i32 = sqlx::query_scalar("SELECT tenancy.drop_pruned_partitions()")
                .fetch_one(&mut *writing)
                .await
                .map_err(refused)?;
            writing.commit_unrecorded().await?;
            if dropped == 0 {
                return Ok(());
            }
        }
    }

    async fn erase_person(
        &self,
        tenant: Option<TenantId>,
        person: &PersonErasure,
        record: &ChangeRecord,
    ) -> Result<u64, StoreError> {
        erase::erase(self, tenant, person, record).await
    }
}

/// The chain of a tenant, and that of what concerns none.
fn chain_id(chain: TrailChain) -> Uuid {
    let tenant = chain.tenant();
    tenant.map_or(Uuid::nil(), |tenant| tenant.as_uuid())
}

fn number(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn hash(stored: Vec<u8>) -> Result<ChainHash, DirectoryError> {
    let bytes = stored.try_into();
    bytes
        .map(ChainHash::from_bytes)
        .map_err(|_| DirectoryError::new("a hash of the trail has not 32 bytes"))
}
