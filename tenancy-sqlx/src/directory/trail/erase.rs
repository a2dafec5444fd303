//! Erasing what the trail has about a person.

use std::collections::BTreeMap;

use sqlx::{PgConnection, types::Uuid};
use tenancy_core::{
    AuditTrail as _, ChangeRecord, PersonErasure, StoreError, StoreErrorKind, TenantId,
};

use crate::directory::{
    PgDirectory,
    write::{Writing, refused, write_record},
};

/// How often entries are linked that came in meanwhile.
const TRIES: usize = 5;

pub(super) async fn erase(
    directory: &PgDirectory,
    tenant: Option<TenantId>,
    person: &PersonErasure,
    record: &ChangeRecord,
) -> Result<u64, StoreError> {
    for _ in 0..TRIES {
        directory.seal().await?;
        let mut writing = directory.write().await?;
        // Each entry is looked at.
        let patience = sqlx::query("SET LOCAL statement_timeout = '10min'");
        patience.execute(&mut *writing).await.map_err(refused)?;
        let found = find(&mut writing, tenant, person).await?;
        // One that is not linked yet can't be erased: the chain would never have its digest.
        if found.iter().any(|entry| !entry.is_linked) {
            continue;
        }
        return erase_found(writing, tenant, person, found, record).await;
    }
    Err(StoreError::new(
        StoreErrorKind::Unavailable,
        "entries about the person are recorded faster than they are linked; nothing was erased, try again",
    ))
}

#[derive(sqlx::FromRow)]
struct Found {
    id: Uuid,
    tenant_id: Option<Uuid>,
    is_linked: bool,
}

/// The texts, also as JSON writes them.
fn texts(person: &PersonErasure) -> Vec<String> {
    let as_json = |text: &str| {
        let json = serde_json::Value::from(text).to_string();
        json.trim_matches('"').to_owned()
    };
    let texts = person.texts();
    texts
        .flat_map(|text| [text.to_owned(), as_json(text)])
        .collect()
}

/// The entries are found by their ids, each way by its own index where there is one. Texts may stand anywhere, so that all
/// particulars are read for them, and only for them.
const FIND: &str = "WITH found AS (
         SELECT r.id, r.tenant_id FROM tenancy.audit_records AS r
         WHERE r.actor_id = $2 AND ($1::uuid IS NULL OR r.tenant_id = $1)
     UNION
         SELECT r.id, r.tenant_id FROM tenancy.audit_records AS r
         WHERE r.on_behalf_of = $2 AND ($1::uuid IS NULL OR r.tenant_id = $1)
     UNION
         SELECT p.entry, p.tenant_id FROM tenancy.audit_particulars AS p
         WHERE p.target_keys @> ARRAY[tenancy.target_key($1, 'user:' || $2::text)]
             AND p.targets @> ARRAY['user:' || $2::text] AND ($1::uuid IS NULL OR p.tenant_id = $1)
     UNION
         SELECT p.entry, p.tenant_id FROM tenancy.audit_particulars AS p
         WHERE cardinality($3::text[]) > 0 AND ($1::uuid IS NULL OR p.tenant_id = $1)
             AND EXISTS (SELECT FROM unnest($3::text[]) AS t (text) WHERE strpos(lower(concat_ws(E'\\n', p.reason,
                 array_to_string(p.targets, E'\\n'), p.details::text, p.changes::text, p.user_agent)), lower(t.text)) > 0))
     SELECT r.id, r.tenant_id, EXISTS (SELECT FROM tenancy.audit_links AS l WHERE l.entry = r.id) AS is_linked
     FROM found AS f JOIN tenancy.audit_records AS r ON r.id = f.id AND r.tenant_id IS NOT DISTINCT FROM f.tenant_id
     WHERE r.action <> 'trail.erase' AND EXISTS (SELECT FROM tenancy.audit_particulars AS p
         WHERE p.entry = r.id AND p.tenant_id IS NOT DISTINCT FROM r.tenant_id)";

async fn find(
    connection: &mut PgConnection,
    tenant: Option<TenantId>,
    person: &PersonErasure,
) -> Result<Vec<Found>, StoreError> {
    sqlx::query_as(FIND)
        .bind(tenant.map(|tenant| tenant.as_uuid()))
        .bind(person.user().as_uuid())
        .bind(texts(person))
        .fetch_all(connection)
        .await
        .map_err(refused)
}

/// Erases, with an entry in each chain that something was erased of. That entry is the cause which the verification looks
/// for.
async fn erase_found(
    mut writing: Writing,
    tenant: Option<TenantId>,
    person: &PersonErasure,
    found: Vec<Found>,
    record: &ChangeRecord,
) -> Result<u64, StoreError> {
    let mut of_chains: BTreeMap<Option<Uuid>, Vec<Uuid>> = BTreeMap::new();
    for entry in found {
        of_chains.entry(entry.tenant_id).or_default().push(entry.id);
    }
    let mut erased = erase_history(&mut writing, tenant, person).await?;
    write_record(&mut writing, tenant, record).await?;
    for (chain, entries) in of_chains {
        let of_chain = chain.map(TenantId::from_uuid);
        let part = match of_chain {
            Some(one) if tenant.is_none() => {
                let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
                let part = record.for_tenant(one, count);
                write_record(&mut writing, of_chain, &part).await?;
                part.entry.id
            }
            _ => record.entry.id,
        };
        let count: i64 = sqlx::query_scalar("SELECT tenancy.erase_particulars($1, $2)")
            .bind(&entries)
            .bind(part)
            .fetch_one(&mut *writing)
            .await
            .map_err(refused)?;
        erased += super::number(count);
    }
    writing.commit_unrecorded().await?;
    Ok(erased)
}

/// The same of what was recorded before there was a chain.
async fn erase_history(
    connection: &mut PgConnection,
    tenant: Option<TenantId>,
    person: &PersonErasure,
) -> Result<u64, StoreError> {
    let erase = "SELECT tenancy.erase_history(ARRAY(
             SELECT e.id FROM (SELECT b.*,
                     b.targets @> jsonb_build_array(jsonb_build_object('type', 'user', 'id', $2::text)) AS is_target,
                     concat_ws(E'\\n', b.reason, b.targets::text, b.details::text, b.user_agent) AS texts
                 FROM tenancy.audit_before AS b) AS e
             WHERE ($1::uuid IS NULL OR e.tenant_id = $1) AND e.action <> 'trail.erase'
                 AND (e.actor_id = $2 OR e.on_behalf_of = $2 OR e.is_target
                     OR EXISTS (SELECT FROM unnest($3::text[]) AS t (text)
                         WHERE strpos(lower(e.texts), lower(t.text)) > 0))))";
    let erased: i64 = sqlx::query_scalar(erase)
        .bind(tenant.map(|tenant| tenant.as_uuid()))
        .bind(person.user().as_uuid())
        .bind(texts(person))
        .fetch_one(connection)
        .await
        .map_err(refused)?;
    Ok(super::number(erased))
}
