//! The audit trail: adding beside a plain table and beside a chain that is made at the commit; linking, verifying, reading.
//!
//! `TRAIL_ENTRIES=10000000 cargo bench -- trail` fills the trail with so many entries first (default: 100,000).

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tenancy_core::{AuditDirectory as _, AuditFilter, AuditTrail as _, TenantId};
use tenancy_tests::{Server, Version, notes::Notes};

use crate::ratio;

/// What the chain at the commit does, and a plain table for comparison: one row, one index, nothing else.
const RIVALS: &str = "CREATE TABLE public.plain (id uuid PRIMARY KEY, at timestamptz, tenant_id uuid, actor_kind text,
        actor_id uuid, action text, outcome text, reason text, details jsonb, ip inet, user_agent text);
    CREATE INDEX ON public.plain (tenant_id, id);
    CREATE TABLE public.heads (chain uuid PRIMARY KEY, seq bigint NOT NULL, hash bytea NOT NULL);
    CREATE FUNCTION public.chained(given jsonb) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        head record;
        own uuid := (given ->> 'tenant_id')::uuid;
        next bytea;
    BEGIN
        PERFORM tenancy.append_records(jsonb_build_array(given));
        INSERT INTO public.heads VALUES (own, 0, '\\x00') ON CONFLICT DO NOTHING;
        SELECT * INTO head FROM public.heads AS h WHERE h.chain = own FOR UPDATE;
        next := tenancy.link_hash(own, head.seq + 1, head.hash, (
            SELECT tenancy.record_digest(r, tenancy.particulars_digest(p))
            FROM tenancy.audit_records AS r JOIN tenancy.audit_particulars AS p ON p.entry = r.id
            WHERE r.id = (given ->> 'id')::uuid));
        UPDATE public.heads AS h SET seq = head.seq + 1, hash = next WHERE h.chain = own;
    END $$";

const WAYS: [(&str, &str); 3] = [
    (
        "a plain table",
        "INSERT INTO public.plain SELECT (e ->> 'id')::uuid, now(), (e ->> 'tenant_id')::uuid, 'user',
             (e ->> 'actor_id')::uuid, 'note.share', 'allowed', e ->> 'reason', e -> 'details', '192.0.2.7', 'curl/8'
         FROM (SELECT $1::jsonb AS e) AS x",
    ),
    ("the trail, linked later", "SELECT tenancy.append_records(jsonb_build_array($1::jsonb))"),
    ("a chain at the commit", "SELECT public.chained($1::jsonb)"),
];

/// How many write at a time.
const WRITERS: usize = 8;

pub(crate) async fn run() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let notes = Notes::start(&server).await?;
    let mut admin = notes.database.admin().await?;
    admin.execute(RIVALS).await?;
    for (title, tenants) in [("one tenant", 1), ("1,000 tenants", 1_000)] {
        ratio::heading(&format!("entries per second, {WRITERS} writers, {title}"));
        let tenants: Vec<_> = (0..tenants).map(|_| TenantId::new()).collect();
        let mut best = [0.0_f64; WAYS.len()];
        for _ in 0..3 {
            for ((_, sql), best) in WAYS.iter().zip(&mut best) {
                let rate = rate(&notes, sql, &tenants).await?;
                *best = best.max(rate);
            }
        }
        let [plain, ..] = best;
        for ((name, _), rate) in WAYS.iter().zip(best) {
            println!("{name:<28} {rate:>9.0}   {:.2} of plain", rate / plain);
        }
    }
    whole(&notes, &mut admin).await?;
    notes.database.close().await?;
    Ok(())
}

/// How many entries are added in a second.
async fn rate(notes: &Notes, sql: &'static str, tenants: &[TenantId]) -> anyhow::Result<f64> {
    let began = Instant::now();
    let until = began + ratio::budget() / 3;
    let writers = (0..WRITERS).map(|writer| async move {
        let mut connection = PgConnection::connect_with(&notes.database.admin_options()).await?;
        let mut count = 0_u32;
        while Instant::now() < until {
            let tenant = tenants.get((writer + count as usize * WRITERS) % tenants.len());
            let entry = serde_json::json!({
                "id": uuid::Uuid::now_v7(), "at": 1_800_000_000_000_000_i64, "tenant_id": tenant,
                "actor_kind": "user", "actor_id": uuid::Uuid::now_v7(), "action": "note.share",
                "outcome": "allowed", "reason": "asked for", "targets": [{ "type": "note", "id": "7" }],
                "details": { "with": "bob" }, "ip": "192.0.2.7", "user_agent": "curl/8",
            });
            sqlx::query(sql).bind(sqlx::types::Json(entry)).execute(&mut connection).await?;
            count += 1;
        }
        connection.close().await?;
        anyhow::Ok(count)
    });
    let mut whole = 0;
    for count in join_all(writers).await {
        whole += count?;
    }
    Ok(f64::from(whole) / began.elapsed().as_secs_f64())
}

/// Linking, verifying and reading a long trail.
async fn whole(notes: &Notes, admin: &mut PgConnection) -> anyhow::Result<()> {
    let asked = std::env::var("TRAIL_ENTRIES")
        .ok()
        .and_then(|text| text.parse().ok());
    let entries: i64 = if ratio::hurries() {
        2_000
    } else {
        asked.unwrap_or(100_000)
    };
    notes.directory.seal().await?;
    let (acme, began) = (notes.acme.id, Instant::now());
    let mut left = entries;
    while left > 0 {
        let part = left.min(100_000);
        // Nine of ten are of 100 other tenants.
        let fill = format!(
            "WITH n AS MATERIALIZED (SELECT n, (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
                     || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid AS id,
                     CASE WHEN n % 10 = 0 THEN '{acme}'::uuid
                         ELSE ('00000000-0000-7000-8000-' || lpad((n % 100)::text, 12, '0'))::uuid END AS tenant
                 FROM generate_series(1, {part}) AS n),
             r AS (INSERT INTO tenancy.audit_records (id, at, tenant_id, actor_kind, actor_id, action, outcome)
                 SELECT id, clock_timestamp(), tenant, 'user',
                     ('00000000-0000-7000-9000-' || lpad((n % 1000)::text, 12, '0'))::uuid,
                     'note.' || chr(97 + n % 20), 'allowed' FROM n)
             INSERT INTO tenancy.audit_particulars (entry, tenant_id, reason, targets, details, ip)
             SELECT id, tenant, 'asked for', ARRAY['note:' || n], '{{\"with\":\"bob\"}}', '192.0.2.7' FROM n"
        );
        admin.execute(AssertSqlSafe(fill)).await?;
        left -= part;
    }
    ratio::heading(&format!(
        "a trail of {entries} entries, a tenth of one tenant"
    ));
    let rate = |count: u64, since: Instant| count as f64 / since.elapsed().as_secs_f64();
    println!(
        "added by bulk          {:>9.0} in a second",
        rate(entries.unsigned_abs(), began)
    );
    let began = Instant::now();
    let sealed = notes.directory.seal().await?;
    println!(
        "linked                 {:>9.0} in a second",
        rate(sealed, began)
    );
    admin
        .execute("ANALYZE tenancy.audit_records, tenancy.audit_particulars, tenancy.audit_links")
        .await?;
    let began = Instant::now();
    let report = notes.directory.verify_chain(acme.into(), &[]).await?;
    anyhow::ensure!(report.is_whole(), "{report:?}");
    println!(
        "verified               {:>9.0} in a second",
        rate(report.verified, began)
    );
    for (name, filter) in [
        ("newest page", AuditFilter::new()),
        ("by action", AuditFilter::new().action("note.k")),
        (
            "by actor",
            AuditFilter::new().actor(tenancy_core::Actor::User(
                "00000000-0000-7000-9000-000000000010".parse()?,
            )),
        ),
        (
            "by target",
            AuditFilter::new().target(tenancy_core::AuditTarget::new("note", 1_000)),
        ),
    ] {
        let mut took = Vec::new();
        for _ in 0..100 {
            let began = Instant::now();
            notes
                .directory
                .list_entries(Some(acme), &filter, None, 50)
                .await?;
            took.push(began.elapsed());
        }
        took.sort();
        let p95 = took.get(94).copied().unwrap_or(Duration::ZERO);
        println!(
            "{name:<22} {:>9.2} ms, p95 of a page of 50",
            p95.as_secs_f64() * 1_000.0
        );
    }

    Ok(())
}
