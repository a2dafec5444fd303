//! Walking a chain from its beginning to its end.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow, types::Uuid};
use tenancy_core::{
    ChainFault, ChainFaultKind as Kind, ChainHash, ChainHead, ChainReport, DirectoryError,
    StoreError, TenantId, Timestamp,
};

use super::{chain_id, digest, hash, number};
use crate::directory::{rows::column, write::refused};

/// How many links are read at once.
const PAGE: i64 = 2_000;

/// Where the walk stands.
struct Walk {
    chain: Uuid,
    report: ChainReport,
    /// The hash of the last link.
    hash: ChainHash,
    /// What links of these numbers have to have: from checkpoints and from anchors.
    expected: BTreeMap<u64, (Kind, ChainHash)>,
}

/// Verifies a chain in a transaction whose snapshot does not move.
pub(super) async fn verify(
    reading: &mut PgConnection,
    tenant: Option<TenantId>,
    anchors: &[ChainHead],
) -> Result<ChainReport, StoreError> {
    let mut walk = Walk {
        chain: chain_id(tenant.into()),
        report: ChainReport::new(tenant),
        hash: ChainHash::GENESIS,
        expected: BTreeMap::new(),
    };
    let fault = match walk.begin(reading, anchors).await? {
        Some(fault) => Some(fault),
        None => match walk.links(reading).await? {
            Some(fault) => Some(fault),
            None => walk.end(reading).await?,
        },
    };
    walk.report.fault = fault;
    walk.count(reading, tenant).await?;
    Ok(walk.report)
}

impl Walk {
    /// Where it was pruned to, and what is expected behind that.
    async fn begin(
        &mut self,
        reading: &mut PgConnection,
        anchors: &[ChainHead],
    ) -> Result<Option<ChainFault>, StoreError> {
        let rows = sqlx::query(
            "SELECT c.seq, c.kind, c.hash, c.kind = 'head' OR EXISTS (SELECT FROM tenancy.audit_records AS r
                 LEFT JOIN tenancy.audit_links AS l ON l.entry = r.id
                 WHERE r.id = c.cause AND r.action = 'trail.prune' AND coalesce(l.seq > c.seq, true)
                     AND r.tenant_id IS NOT DISTINCT FROM
                         nullif(c.chain, '00000000-0000-0000-0000-000000000000'::uuid)) AS is_told
             FROM tenancy.audit_checkpoints AS c WHERE c.chain = $1 ORDER BY c.seq",
        )
        .bind(self.chain)
        .fetch_all(&mut *reading)
        .await
        .map_err(refused)?;
        let mut fault = None;
        for row in &rows {
            let read = || -> Result<_, DirectoryError> {
                let (seq, kind): (i64, String) = (column(row, "seq")?, column(row, "kind")?);
                Ok((
                    number(seq),
                    kind,
                    hash(column(row, "hash")?)?,
                    column::<bool>(row, "is_told")?,
                ))
            };
            let (seq, kind, at, is_told) = read().map_err(StoreError::unavailable)?;
            if kind == "pruned" {
                self.report.pruned = seq;
                self.hash = at;
                // Of several, the last one counts: it has removed what told of those before.
                fault = (!is_told).then(|| ChainFault::new(Kind::BeginningMissing, seq, None));
            } else {
                self.expected.insert(seq, (Kind::CheckpointDiffers, at));
            }
        }
        for anchor in anchors {
            // Two that say another thing of one number: the chain was made anew between them.
            if let Some((_, other)) = self.expected.get(&anchor.seq)
                && *other != anchor.hash
            {
                let kind = Kind::AnchorDiffers;
                return Ok(Some(ChainFault::new(kind, anchor.seq, None)));
            }
            let expected = (Kind::AnchorDiffers, anchor.hash);
            self.expected.insert(anchor.seq, expected);
        }
        // What is pruned can't be compared any more, but for its end.
        if let Some((kind, at)) = self.expected.get(&self.report.pruned) {
            if *at != self.hash {
                return Ok(Some(ChainFault::new(*kind, self.report.pruned, None)));
            }
            if *kind == Kind::AnchorDiffers {
                self.report.anchored = self.report.pruned;
            }
        }
        self.expected = self.expected.split_off(&(self.report.pruned + 1));
        self.report.last = self.report.pruned;
        Ok(fault)
    }

    async fn links(
        &mut self,
        reading: &mut PgConnection,
    ) -> Result<Option<ChainFault>, StoreError> {
        let page = format!(
            "SELECT l.seq, l.entry, l.particulars AS kept, l.hash, {},
                 EXISTS (SELECT FROM tenancy.audit_erasures AS e JOIN tenancy.audit_records AS c ON c.id = e.cause
                     WHERE e.entry = l.entry AND c.action = 'trail.erase'
                         AND c.tenant_id IS NOT DISTINCT FROM r.tenant_id) AS is_erased
             FROM (SELECT * FROM tenancy.audit_links AS x WHERE x.chain = $1 AND x.seq > $2 ORDER BY x.seq LIMIT $3) AS l
                 LEFT JOIN tenancy.audit_records AS r ON r.id = l.entry
                 LEFT JOIN tenancy.audit_particulars AS p
                 ON p.entry = l.entry AND p.tenant_id IS NOT DISTINCT FROM r.tenant_id
             ORDER BY l.seq",
            digest::COLUMNS
        );
        loop {
            let rows = sqlx::query(AssertSqlSafe(page.clone()))
                .bind(self.chain)
                .bind(i64::try_from(self.report.last).unwrap_or(i64::MAX))
                .bind(PAGE)
                .fetch_all(&mut *reading)
                .await
                .map_err(refused)?;
            if rows.is_empty() {
                return Ok(None);
            }
            for row in &rows {
                if let Some(fault) = self.link(row).map_err(StoreError::unavailable)? {
                    return Ok(Some(fault));
                }
            }
        }
    }

    fn link(&mut self, row: &PgRow) -> Result<Option<ChainFault>, DirectoryError> {
        let seq = number(column(row, "seq")?);
        let next = self.report.last + 1;
        if seq != next {
            let kind = match self.report.verified {
                0 => Kind::BeginningMissing,
                _ => Kind::LinkMissing,
            };
            return Ok(Some(ChainFault::new(kind, next, None)));
        }
        let entry: Uuid = column(row, "entry")?;
        let fault = |kind| Ok(Some(ChainFault::new(kind, seq, Some(entry))));
        if column::<Option<Uuid>>(row, "record")?.is_none() {
            return fault(Kind::EntryMissing);
        }
        let kept: Option<&[u8]> = column(row, "kept")?;
        let hash = hash(column(row, "hash")?)?;
        let linked = digest::link(self.chain, seq, self.hash, &digest::record(row, kept)?);
        if linked != hash {
            return fault(Kind::EntryChanged);
        }
        if column::<Option<Uuid>>(row, "has_particulars")?.is_some() {
            if kept != Some(&digest::particulars(row)?[..]) {
                return fault(Kind::ParticularsChanged);
            }
        } else if column(row, "is_erased")? {
            self.report.erased += 1;
        } else if kept.is_some() {
            return fault(Kind::ParticularsMissing);
        }
        if let Some((kind, expected)) = self.expected.remove(&seq) {
            if expected != hash {
                return fault(kind);
            }
            if kind == Kind::AnchorDiffers {
                self.report.anchored = seq;
            }
        }
        self.hash = hash;
        self.report.last = seq;
        self.report.verified += 1;
        Ok(None)
    }

    /// Whether the chain ends where it is known to have stood, and has a link for each entry.
    async fn end(&mut self, reading: &mut PgConnection) -> Result<Option<ChainFault>, StoreError> {
        let last = self.report.last;
        if !self.expected.is_empty() {
            return Ok(Some(ChainFault::new(Kind::TailCut, last + 1, None)));
        }
        let head =
            sqlx::query("SELECT h.seq, h.hash FROM tenancy.audit_heads AS h WHERE h.chain = $1")
                .bind(self.chain)
                .fetch_optional(&mut *reading)
                .await
                .map_err(refused)?;
        let head = head.map(|row| -> Result<_, DirectoryError> {
            Ok((number(column(&row, "seq")?), hash(column(&row, "hash")?)?))
        });
        let head = head.transpose().map_err(StoreError::unavailable)?;
        let (seq, at) = head.unwrap_or((0, ChainHash::GENESIS));
        if (seq, at) != (last, self.hash) {
            let kind = if seq > last {
                Kind::TailCut
            } else {
                Kind::CheckpointDiffers
            };
            return Ok(Some(ChainFault::new(kind, last + 1, None)));
        }
        let unlinked: Option<Uuid> = sqlx::query_scalar(
            "SELECT r.id FROM tenancy.audit_records AS r
             WHERE r.tenant_id IS NOT DISTINCT FROM nullif($1, '00000000-0000-0000-0000-000000000000'::uuid)
                 AND NOT EXISTS (SELECT FROM tenancy.audit_links AS l WHERE l.entry = r.id)
                 AND NOT EXISTS (SELECT FROM tenancy.audit_unsealed AS u WHERE u.entry = r.id)
             ORDER BY r.id LIMIT 1",
        )
        .bind(self.chain)
        .fetch_optional(&mut *reading)
        .await
        .map_err(refused)?;
        Ok(unlinked.map(|entry| ChainFault::new(Kind::EntryUnlinked, 0, Some(entry))))
    }

    /// What the chain does not cover.
    async fn count(
        &mut self,
        reading: &mut PgConnection,
        tenant: Option<TenantId>,
    ) -> Result<(), StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM tenancy.audit_unsealed AS u WHERE u.chain = $1) AS unsealed,
                 (SELECT (extract(epoch FROM min(u.since)) * 1000000)::bigint FROM tenancy.audit_unsealed AS u
                     WHERE u.chain = $1) AS since,
                 (SELECT count(*) FROM tenancy.audit_before AS b WHERE b.tenant_id IS NOT DISTINCT FROM $2) AS before",
        )
        .bind(self.chain)
        .bind(tenant.map(|tenant| tenant.as_uuid()))
        .fetch_one(&mut *reading)
        .await
        .map_err(refused)?;
        let read = |name| {
            row.try_get(name)
                .map(number)
                .map_err(StoreError::unavailable)
        };
        self.report.unsealed = read("unsealed")?;
        self.report.before_chain = read("before")?;
        let since: Option<i64> = row.try_get("since").map_err(StoreError::unavailable)?;
        self.report.unsealed_since = since.map(Timestamp::from_unix_micros);
        Ok(())
    }
}
