//! The digests of version 1, made of a row again. `0037_trail.sql` makes them when an entry is linked; this is a second
//! implementation of the same text, in `docs/audit.md`, so that the verification does not rest on the database's.

use sha2::{Digest as _, Sha256};
use sqlx::{postgres::PgRow, types::Uuid};
use tenancy_core::{ChainHash, DirectoryError};

use crate::directory::rows::column;

/// A field: its length and its bytes. A missing one has the length -1.
struct Hashing(Sha256);

impl Hashing {
    fn new(domain: &str) -> Self {
        Self(Sha256::new_with_prefix(domain.as_bytes()))
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    fn bytes(self, value: Option<&[u8]>) -> Self {
        match value {
            None => self.raw(&[0xff; 4]),
            // PostgreSQL's fields are shorter than 1 GiB.
            Some(value) => self
                .raw(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes())
                .raw(value),
        }
    }

    fn text(self, value: Option<&str>) -> Self {
        self.bytes(value.map(str::as_bytes))
    }

    fn uuid(self, value: Option<Uuid>) -> Self {
        self.bytes(value.as_ref().map(|id| &id.as_bytes()[..]))
    }

    fn micros(self, value: i64) -> Self {
        self.bytes(Some(&value.to_be_bytes()))
    }

    fn end(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The columns of which [`particulars`] and [`record`] are made.
pub(super) const COLUMNS: &str = "r.id AS record, (extract(epoch FROM r.at) * 1000000)::bigint AS at,
    (extract(epoch FROM r.recorded_at) * 1000000)::bigint AS recorded_at, r.version, r.tenant_id, r.project_id,
    r.actor_kind, r.actor_id, r.on_behalf_of, r.credential, r.action, r.outcome, r.request_id, r.trace_id, r.suppressed,
    p.entry AS has_particulars, p.salt, p.reason, p.targets, p.details::text AS details, p.changes::text AS changes,
    p.ip::text AS ip, p.user_agent";

/// The digest of what is about people.
pub(super) fn particulars(row: &PgRow) -> Result<[u8; 32], DirectoryError> {
    let targets: Vec<String> = column(row, "targets")?;
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    let mut hashing = Hashing::new("tenancy.audit.particulars.1")
        .bytes(column(row, "salt")?)
        .text(column(row, "reason")?)
        .raw(&count.to_be_bytes());
    for target in &targets {
        hashing = hashing.text(Some(target));
    }
    Ok(hashing
        .text(column(row, "details")?)
        .text(column(row, "changes")?)
        .text(column(row, "ip")?)
        .text(column(row, "user_agent")?)
        .end())
}

/// The digest of an entry, with that of its particulars.
pub(super) fn record(row: &PgRow, particulars: Option<&[u8]>) -> Result<[u8; 32], DirectoryError> {
    let version: i32 = column(row, "version")?;
    let suppressed: i64 = column(row, "suppressed")?;
    Ok(Hashing::new("tenancy.audit.entry.1")
        .uuid(column(row, "record")?)
        .micros(column(row, "at")?)
        .micros(column(row, "recorded_at")?)
        .raw(&version.to_be_bytes())
        .uuid(column(row, "tenant_id")?)
        .uuid(column(row, "project_id")?)
        .text(column(row, "actor_kind")?)
        .uuid(column(row, "actor_id")?)
        .uuid(column(row, "on_behalf_of")?)
        .text(column(row, "credential")?)
        .text(column(row, "action")?)
        .text(column(row, "outcome")?)
        .text(column(row, "request_id")?)
        .text(column(row, "trace_id")?)
        .raw(&suppressed.to_be_bytes())
        .bytes(particulars)
        .end())
}

/// The hash of a link.
pub(super) fn link(chain: Uuid, seq: u64, before: ChainHash, entry: &[u8; 32]) -> ChainHash {
    let hash = Hashing::new("tenancy.audit.link.1")
        .raw(chain.as_bytes())
        .raw(&seq.to_be_bytes())
        .bytes(Some(before.as_bytes()))
        .bytes(Some(entry))
        .end();
    ChainHash::from_bytes(hash)
}
