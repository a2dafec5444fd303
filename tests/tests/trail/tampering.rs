//! What a superuser does to a chain, and where it shows.

use anyhow::{Context as _, ensure};
use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_core::{
    AuditDirectory as _, AuditFilter, AuditTrail as _, ChainFaultKind as Kind, ChainHead,
};
use tenancy_sqlx::schema::Installer;
use tenancy_tests::notes::{MIGRATIONS, Notes, PASSWORD, on_every_server};

use super::{linked, report};

/// Runs SQL as a superuser with the guards switched off.
async fn tamper(notes: &Notes, sql: &str) -> anyhow::Result<()> {
    let mut admin = notes.database.admin().await?;
    let tables = [
        "audit_records",
        "audit_particulars",
        "audit_links",
        "audit_checkpoints",
    ];
    for table in tables {
        let off = format!("ALTER TABLE tenancy.{table} DISABLE TRIGGER USER");
        admin.execute(AssertSqlSafe(off)).await?;
    }
    admin.execute(AssertSqlSafe(sql.to_owned())).await?;
    Ok(())
}

/// The entry of a number, as SQL.
const OF: &str = "(SELECT entry FROM tenancy.audit_links WHERE chain = '$T' AND seq = 5)";

/// What is done to the fifth of ten entries, and what is found at which number.
const CASES: &[(&str, &str, Kind, u64)] = &[
    ("an actor is changed", "UPDATE tenancy.audit_records SET actor_id = gen_random_uuid() WHERE id = $E",
        Kind::EntryChanged, 5),
    ("a time is changed by a microsecond",
        "UPDATE tenancy.audit_records SET at = at + interval '1 microsecond' WHERE id = $E", Kind::EntryChanged, 5),
    ("an outcome is changed", "UPDATE tenancy.audit_records SET outcome = 'refused' WHERE id = $E",
        Kind::EntryChanged, 5),
    ("an entry is another tenant's", "UPDATE tenancy.audit_records SET tenant_id = gen_random_uuid() WHERE id = $E",
        Kind::EntryChanged, 5),
    ("a reason is changed", "UPDATE tenancy.audit_particulars SET reason = reason || '.' WHERE entry = $E",
        Kind::ParticularsChanged, 5),
    ("the last digit of a number is changed", "UPDATE tenancy.audit_particulars
        SET details = replace(details::text, '4567890', '4567891')::json WHERE entry = $E", Kind::ParticularsChanged, 5),
    ("two targets are made of one", "UPDATE tenancy.audit_particulars SET targets = '{note:,4}' WHERE entry = $E",
        Kind::ParticularsChanged, 5),
    ("an address is erased by hand", "UPDATE tenancy.audit_particulars SET ip = NULL WHERE entry = $E",
        Kind::ParticularsChanged, 5),
    ("particulars are removed", "DELETE FROM tenancy.audit_particulars WHERE entry = $E", Kind::ParticularsMissing, 5),
    ("particulars are removed, with an erasure that nobody has recorded",
        "INSERT INTO tenancy.audit_erasures (entry, cause) VALUES ($E, gen_random_uuid());
        DELETE FROM tenancy.audit_particulars WHERE entry = $E", Kind::ParticularsMissing, 5),
    ("an entry is removed", "DELETE FROM tenancy.audit_records WHERE id = $E", Kind::EntryMissing, 5),
    ("an entry is removed with its link", "DELETE FROM tenancy.audit_records WHERE id = $E;
        DELETE FROM tenancy.audit_links WHERE chain = '$T' AND seq = 5", Kind::LinkMissing, 5),
    ("an entry is removed and the numbers are closed", "DELETE FROM tenancy.audit_records WHERE id = $E;
        DELETE FROM tenancy.audit_links WHERE chain = '$T' AND seq = 5;
        UPDATE tenancy.audit_links SET seq = seq - 1 WHERE chain = '$T' AND seq > 5;
        UPDATE tenancy.audit_heads SET seq = 9 WHERE chain = '$T'", Kind::EntryChanged, 5),
    ("two entries are put in the other order", "UPDATE tenancy.audit_links SET seq = 100 + seq WHERE chain = '$T' AND seq IN (5, 6);
        UPDATE tenancy.audit_links SET seq = 111 - seq WHERE chain = '$T' AND seq > 100", Kind::EntryChanged, 5),
    ("an entry is put in between", "INSERT INTO tenancy.audit_records (id, at, tenant_id, actor_kind, action, outcome)
            VALUES ('00000000-0000-7000-8000-000000000001', now(), '$T', 'user', 'note.share', 'allowed');
        DELETE FROM tenancy.audit_unsealed;
        UPDATE tenancy.audit_links SET seq = seq + 1000 WHERE chain = '$T' AND seq >= 5;
        UPDATE tenancy.audit_links SET seq = seq - 999 WHERE chain = '$T' AND seq > 1000;
        INSERT INTO tenancy.audit_links (chain, seq, entry, hash) SELECT '$T', 5,
            '00000000-0000-7000-8000-000000000001', hash FROM tenancy.audit_links WHERE chain = '$T' AND seq = 6",
        Kind::EntryChanged, 5),
    ("an entry is put in past the chain", "INSERT INTO tenancy.audit_records
            (id, at, tenant_id, actor_kind, action, outcome)
            VALUES ('00000000-0000-7000-8000-000000000002', now(), '$T', 'user', 'note.share', 'allowed');
        DELETE FROM tenancy.audit_unsealed", Kind::EntryUnlinked, 0),
    ("the end is cut", "DELETE FROM tenancy.audit_records WHERE id IN
            (SELECT entry FROM tenancy.audit_links WHERE chain = '$T' AND seq > 5);
        DELETE FROM tenancy.audit_links WHERE chain = '$T' AND seq > 5", Kind::TailCut, 6),
    ("the whole chain is removed", "DELETE FROM tenancy.audit_records WHERE tenant_id = '$T';
        DELETE FROM tenancy.audit_links WHERE chain = '$T'", Kind::TailCut, 1),
    ("the beginning is removed", "DELETE FROM tenancy.audit_records WHERE id IN
            (SELECT entry FROM tenancy.audit_links WHERE chain = '$T' AND seq < 5);
        DELETE FROM tenancy.audit_links WHERE chain = '$T' AND seq < 5", Kind::BeginningMissing, 1),
    ("the beginning is removed, with a checkpoint that nobody has recorded",
        "INSERT INTO tenancy.audit_checkpoints (chain, seq, kind, hash) SELECT chain, seq, 'pruned', hash
            FROM tenancy.audit_links WHERE chain = '$T' AND seq = 4;
        DELETE FROM tenancy.audit_records WHERE id IN
            (SELECT entry FROM tenancy.audit_links WHERE chain = '$T' AND seq < 5);
        DELETE FROM tenancy.audit_links WHERE chain = '$T' AND seq < 5", Kind::BeginningMissing, 4),
];

#[tokio::test]
async fn what_is_done_to_a_chain_is_found_where_it_was_done() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        // Each case has a tenant of its own: the other ones stay whole.
        let mut tenants = Vec::new();
        for _ in CASES {
            tenants.push(tenancy_core::TenantId::new());
        }
        for tenant in &tenants {
            linked(notes, Some(*tenant), 10).await?;
            let before = report(notes, Some(*tenant)).await?;
            ensure!(before.is_whole() && before.verified == 10, "{before:?}");
        }
        for ((case, sql, kind, seq), tenant) in CASES.iter().zip(&tenants) {
            let sql = sql.replace("$E", OF).replace("$T", &tenant.to_string());
            tamper(notes, &sql).await?;
            let fault = report(notes, Some(*tenant)).await?.fault;
            let fault = fault.ok_or_else(|| anyhow::anyhow!("{case}: nothing was found"))?;
            ensure!(
                (fault.kind, fault.seq) == (*kind, *seq),
                "{case}: {fault:?}"
            );
        }
        Ok(())
    })
    .await
}

/// Whoever can rewrite a chain can rewrite it to its end. Only what is kept elsewhere shows that.
#[tokio::test]
async fn a_chain_that_is_rewritten_to_its_end_shows_by_an_anchor_alone() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenant = notes.acme.id;
        linked(notes, Some(tenant), 10).await?;
        let heads = notes.directory.list_heads(None, 100).await?;
        let anchor = heads.into_iter().find(|head| head.tenant == Some(tenant));
        let anchor = anchor.ok_or_else(|| anyhow::anyhow!("no head"))?;
        linked(notes, Some(tenant), 2).await?;
        let before = notes
            .directory
            .verify_chain(Some(tenant), &[anchor])
            .await?;
        ensure!(
            before.is_whole() && before.anchored == anchor.seq,
            "{before:?}"
        );

        // Everything is linked again, by the library's own function, with another actor in the third entry.
        let rewrite = "UPDATE tenancy.audit_records SET actor_id = gen_random_uuid() WHERE id =
                (SELECT entry FROM tenancy.audit_links WHERE chain = '$T' AND seq = 3);
            DELETE FROM tenancy.audit_links WHERE chain = '$T';
            DELETE FROM tenancy.audit_heads WHERE chain = '$T';
            INSERT INTO tenancy.audit_unsealed (entry, chain)
                SELECT id, '$T' FROM tenancy.audit_records WHERE tenant_id = '$T';
            SELECT tenancy.seal_trail(100, true, false)";
        tamper(notes, &rewrite.replace("$T", &tenant.to_string())).await?;
        let without = report(notes, Some(tenant)).await?;
        ensure!(
            without.is_whole() && without.verified == before.verified,
            "{without:?}"
        );
        let with = notes
            .directory
            .verify_chain(Some(tenant), &[anchor])
            .await?;
        let fault = with
            .fault
            .ok_or_else(|| anyhow::anyhow!("nothing was found"))?;
        ensure!(
            (fault.kind, fault.seq) == (Kind::AnchorDiffers, anchor.seq),
            "{fault:?}"
        );

        // One that was signed after the rewriting does not hide the one of before.
        let heads = notes.directory.list_heads(None, 100).await?;
        let after = heads.into_iter().find(|head| head.tenant == Some(tenant));
        let mut signed_again = after.ok_or_else(|| anyhow::anyhow!("no head"))?;
        signed_again.seq = anchor.seq;
        for anchors in [[anchor, signed_again], [signed_again, anchor]] {
            let both = notes.directory.verify_chain(Some(tenant), &anchors).await?;
            let fault = both.fault.map(|fault| (fault.kind, fault.seq));
            ensure!(
                fault == Some((Kind::AnchorDiffers, anchor.seq)),
                "{fault:?}"
            );
        }

        // An anchor beyond the end.
        let beyond = ChainHead::new(Some(tenant), 1_000, anchor.hash);
        let cut = notes
            .directory
            .verify_chain(Some(tenant), &[beyond])
            .await?;
        let fault = cut.fault.map(|fault| (fault.kind, fault.seq));
        ensure!(fault == Some((Kind::TailCut, before.last + 1)), "{fault:?}");
        Ok(())
    })
    .await
}

/// The service's login adds what is about its own tenant: not to an entry of another one, whose particulars are erased.
#[tokio::test]
async fn nobody_gives_another_tenants_entry_particulars() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, globex) = (Some(notes.acme.id), notes.globex.id);
        let entry = linked(notes, acme, 3).await?.remove(1);
        let ann = tenancy_core::UserId::new();
        let erasure = tenancy_core::PersonErasure::new(ann).named("reason 1: ")?;
        super::service(notes)?.erase_person_from_trail(acme, &erasure).await?;
        ensure!(report(notes, acme).await?.erased == 1);
        let pool = notes.pool(tenancy_sqlx::TenantPoolOptions::new()).await?;
        for (tenant, whose) in [(&notes.globex, globex), (&notes.acme, notes.acme.id)] {
            let mut tx = pool.begin(&notes.context(tenant)).await?;
            let added = sqlx::query(
                "INSERT INTO tenancy.audit_particulars (entry, tenant_id, reason) VALUES ($1, $2, 'made up')",
            )
            .bind(entry.id)
            .bind(whose.as_uuid())
            .execute(&mut *tx)
            .await;
            ensure!(tenancy_tests::notes::sqlstate(added) == "42501", "{whose}");
            tx.rollback().await?;
        }
        let after = report(notes, acme).await?;
        ensure!(after.is_whole() && after.erased == 1, "{after:?}");
        let all = super::service(notes)?
            .list_entries(acme, &tenancy_core::AuditFilter::new(), None, 100)
            .await?;
        let found = all.iter().find(|found| found.id == entry.id);
        ensure!(found.is_some_and(|found| found.reason.is_none()), "{found:?}");
        Ok(())
    })
    .await
}

/// A chain that is broken goes on: an installation over it mends nothing and hides nothing, what is recorded afterwards is
/// linked, and the fault is told with its number for ever.
#[tokio::test]
async fn a_chain_that_was_broken_before_an_upgrade_goes_on_and_is_told_with_its_fault()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let acme = Some(notes.acme.id);
        linked(notes, acme, 10).await?;
        let change = "UPDATE tenancy.audit_particulars SET reason = 'another' WHERE entry = $E"
            .replace("$E", OF)
            .replace("$T", &notes.acme.id.to_string());
        tamper(notes, &change).await?;
        for table in [
            "audit_records",
            "audit_particulars",
            "audit_links",
            "audit_checkpoints",
        ] {
            let on = format!("ALTER TABLE tenancy.{table} ENABLE TRIGGER USER");
            notes.as_admin(&on).await?;
        }
        let mut admin = notes.database.admin().await?;
        Installer::new()
            .passwords(PASSWORD, PASSWORD)
            .registry_password(PASSWORD)
            .audit_password(PASSWORD)
            .run_on(&mut admin, &MIGRATIONS)
            .await?;
        let later = linked(notes, acme, 3).await?;
        let report = report(notes, acme).await?;
        let fault = report.fault.as_ref().context("the fault is told")?;
        ensure!(
            (fault.kind, fault.seq) == (Kind::ParticularsChanged, 5),
            "{fault:?}"
        );
        ensure!((report.verified, report.unsealed) == (4, 0), "{report:?}");
        let links: i64 =
            sqlx::query_scalar("SELECT count(*) FROM tenancy.audit_links WHERE chain = $1")
                .bind(notes.acme.id.as_uuid())
                .fetch_one(&mut admin)
                .await?;
        ensure!(links == 13, "{links}");
        let listed = notes
            .directory
            .list_entries(acme, &AuditFilter::new(), None, 50)
            .await?;
        ensure!(
            later
                .iter()
                .all(|entry| listed.iter().any(|one| one.id == entry.id))
        );
        ensure!(listed.len() == 13, "{}", listed.len());
        Ok(())
    })
    .await
}
