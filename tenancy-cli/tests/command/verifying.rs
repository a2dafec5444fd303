//! `tenancy audit verify` and `seal`.

use std::process::Stdio;

use anyhow::ensure;
use tenancy_core::TenantId;
use tenancy_sqlx::schema::SealWay;
use tenancy_tests::{
    Server, Version,
    notes::{Notes, on_every_server, on_every_server_sealed},
};

use crate::stand::Stand;

#[tokio::test]
async fn whole_chains_are_whole_and_a_changed_entry_is_named() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        for tenant in [Some(acme), Some(globex), None] {
            stand.linked(tenant, 10).await?;
        }
        let whole = stand.run(&["audit", "verify", "--all"])?.ends_with(0)?;
        ensure!(whole.out.lines().count() == 3, "{whole:?}");
        ensure!(
            whole.out.lines().all(|line| line.contains(": whole, 1")),
            "{whole:?}"
        );
        ensure!(
            !whole.out.contains('\u{1b}'),
            "a pipe has no colours: {whole:?}"
        );
        ensure!(
            whole.err.contains("3 chains verified, each is whole"),
            "{whole:?}"
        );
        let quiet = stand
            .run(&["audit", "verify", "--all", "--quiet"])?
            .ends_with(0)?;
        ensure!(quiet.out.is_empty() && quiet.err.is_empty(), "{quiet:?}");

        let entry = {
            let mut admin = notes.database.admin().await?;
            let id: sqlx::types::Uuid = sqlx::query_scalar(
                "SELECT entry FROM tenancy.audit_links WHERE chain = $1 AND seq = 5",
            )
            .bind(acme.as_uuid())
            .fetch_one(&mut admin)
            .await?;
            id.to_string()
        };
        stand.break_fifth(acme).await?;
        let broken = stand.run(&["audit", "verify", "--all"])?.ends_with(1)?;
        let fault = format!("tenant {acme}: broken, entry-changed at link 5, entry {entry}");
        ensure!(broken.out.contains(&fault), "{broken:?}");
        ensure!(
            broken.out.contains(&format!("tenant {globex}: whole")),
            "{broken:?}"
        );
        ensure!(broken.err.contains("1 broken"), "{broken:?}");
        let quiet = stand
            .run(&["-q", "audit", "verify", "--all"])?
            .ends_with(1)?;
        ensure!(
            quiet.out.lines().count() == 1 && quiet.out.contains(&fault),
            "{quiet:?}"
        );

        // The exit code is that of all chains, also where nobody reads about them.
        let mut unread = stand.command(&["audit", "verify"]);
        let mut unread = unread
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        drop(unread.stdout.take());
        ensure!(unread.wait()?.code() == Some(1));

        let id = acme.to_string();
        let json = stand.run(&["audit", "verify", "--tenant", &id, "--format", "json"])?;
        let json = json.ends_with(1)?;
        let reports = json.json()?;
        let [report] = &*reports else {
            anyhow::bail!("{json:?}");
        };
        ensure!(
            report["whole"] == false && report["tenant"] == id,
            "{report}"
        );
        ensure!(report["fault"]["kind"] == "entry-changed", "{report}");
        ensure!(
            report["fault"]["seq"] == 5 && report["fault"]["entry"] == entry,
            "{report}"
        );
        ensure!(report["verified"] == 4, "{report}");
        let id = globex.to_string();
        let json = stand.run(&["audit", "verify", "--tenant", &id, "--format", "json"])?;
        ensure!(json.ends_with(0)?.json()?[0]["whole"] == true);
        stand.run(&["audit", "verify", "--none"])?.ends_with(0)?;

        // Each verification is stored before the command ends.
        let told = stand.told("trail.verify").await?;
        ensure!(told.len() == 3 * 5 + 3, "{told:?}");
        ensure!(
            told.iter().all(|entry| entry.starts_with("system ")),
            "{told:?}"
        );
        let failed = told
            .iter()
            .filter(|entry| entry.contains(" failed entry-changed at link 5"));
        ensure!(failed.count() == 4, "{told:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_chain_that_is_gone_is_looked_for_and_a_tenant_that_is_none_is_an_error()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        stand.linked(Some(notes.acme.id), 3).await?;
        // Neither chain nor head is left, and the entries are there.
        stand
            .tamper("DELETE FROM tenancy.audit_links; DELETE FROM tenancy.audit_heads")
            .await?;
        let broken = stand.run(&["audit", "verify", "--all"])?.ends_with(1)?;
        let named = format!("tenant {}: broken, entry-unlinked", notes.acme.id);
        ensure!(broken.out.contains(&named), "{broken:?}");

        let nobody = TenantId::new().to_string();
        let unknown = stand
            .run(&["audit", "verify", "--tenant", &nobody])?
            .ends_with(2)?;
        ensure!(unknown.err.contains("error: there is no tenant") && unknown.err.contains(&nobody));
        ensure!(unknown.out.is_empty(), "{unknown:?}");
        // Nor is there one because somebody has asked for it.
        let json = ["audit", "verify", "--format", "json", "--tenant", &nobody];
        let unknown = stand.run(&json)?.ends_with(2)?;
        let told: serde_json::Value = serde_json::from_str(&unknown.err)?;
        let told = told["error"].as_str().unwrap_or_default();
        ensure!(told.contains("there is no tenant"), "{unknown:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn entries_that_wait_are_linked_by_the_command() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let tenant = notes.acme.id;
        // Nobody links what a superuser puts in.
        notes
            .as_admin(&format!(
                "INSERT INTO tenancy.audit_records (id, at, tenant_id, actor_kind, action, outcome)
                 SELECT gen_random_uuid(), now(), '{tenant}', 'system', 'note.share', 'allowed'
                 FROM generate_series(1, 7)"
            ))
            .await?;
        let sealed = stand
            .run(&["audit", "seal", "--format", "json"])?
            .ends_with(0)?;
        ensure!(sealed.json()?[0]["sealed"].is_u64(), "{sealed:?}");
        let id = tenant.to_string();
        let json = stand.run(&["audit", "verify", "--format", "json", "--tenant", &id])?;
        let report = json.ends_with(0)?.json()?.remove(0);
        ensure!(
            report["verified"] == 7 && report["unsealed"] == 0,
            "{report}"
        );
        let again = stand.run(&["audit", "seal"])?.ends_with(0)?;
        ensure!(again.out.ends_with("entries were linked\n"), "{again:?}");
        Ok(())
    })
    .await
}

/// Where sessions are sealed, the system login is nobody's tenant, and reads all the same.
#[tokio::test]
async fn the_commands_work_in_a_database_whose_sessions_are_sealed() -> anyhow::Result<()> {
    on_every_server_sealed(Some(SealWay::Row), async |notes| {
        let stand = Stand::new(notes).await?;
        let tenant = notes.acme.id;
        stand.linked(Some(tenant), 6).await?;
        stand.run(&["audit", "verify", "--all"])?.ends_with(0)?;
        let id = tenant.to_string();
        let exported = stand.run_as(stand.admin.id, &["audit", "export", "--tenant", &id])?;
        ensure!(exported.ends_with(0)?.json()?.len() >= 6);
        stand.break_fifth(tenant).await?;
        let broken = stand
            .run(&["audit", "verify", "--tenant", &id])?
            .ends_with(1)?;
        ensure!(broken.out.contains("at link 5"), "{broken:?}");
        Ok(())
    })
    .await
}

/// What can't be recorded is no success. On one server: the command tries for 10 seconds.
#[tokio::test]
async fn a_trail_that_takes_no_entry_is_an_error() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let notes = Notes::start(&server).await?;
    let stand = Stand::new(&notes).await?;
    stand.linked(None, 3).await?;
    notes
        .as_admin(
            "REVOKE EXECUTE ON FUNCTION tenancy.append_records(jsonb) FROM tenancy_system, PUBLIC",
        )
        .await?;
    let lost = stand.run(&["audit", "verify", "--none"])?.ends_with(2)?;
    ensure!(lost.out.contains("whole"), "{lost:?}");
    ensure!(
        lost.err.contains("is stored in the audit trail"),
        "{lost:?}"
    );
    ensure!(stand.told("trail.verify").await?.is_empty());
    // A fault that was found stays one.
    stand
        .tamper("UPDATE tenancy.audit_records SET outcome = 'refused'")
        .await?;
    let broken = stand.run(&["audit", "verify", "--none"])?.ends_with(1)?;
    ensure!(
        broken.err.contains("is stored in the audit trail"),
        "{broken:?}"
    );
    notes.database.close().await?;
    Ok(())
}
