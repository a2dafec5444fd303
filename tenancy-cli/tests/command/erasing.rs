//! `tenancy audit erase`.

use anyhow::ensure;
use tenancy_core::{TenantId, UserId};
use tenancy_tests::notes::{Notes, on_every_server};

use crate::stand::Stand;

async fn with_reasons(notes: &Notes, tenant: TenantId) -> anyhow::Result<i64> {
    let mut admin = notes.database.admin().await?;
    let count = sqlx::query_scalar(
        "SELECT count(*) FROM tenancy.audit_particulars WHERE tenant_id = $1 AND reason LIKE 'reason %'",
    )
    .bind(tenant.as_uuid())
    .fetch_one(&mut admin)
    .await?;
    Ok(count)
}

#[tokio::test]
async fn a_person_is_erased_and_the_chain_stays_whole() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        stand.linked(Some(acme), 4).await?;
        stand.linked(Some(globex), 4).await?;
        let (ann, id) = (UserId::new().to_string(), acme.to_string());
        let short = ["audit", "erase", &ann, "--all", "--text", "a"];
        let short = stand.run_as(stand.admin.id, &short)?.ends_with(2)?;
        ensure!(short.err.contains("4 characters"), "{short:?}");
        ensure!(with_reasons(notes, acme).await? == 4);

        let of_acme = [
            "audit", "erase", &ann, "--tenant", &id, "--text", "reason 2",
        ];
        let done = stand.run_as(
            stand.admin.id,
            &[&of_acme[..], &["--format", "json"]].concat(),
        )?;
        ensure!(done.ends_with(0)?.json()?[0]["erased"] == 1);
        ensure!(with_reasons(notes, acme).await? == 3, "one is erased");
        ensure!(
            with_reasons(notes, globex).await? == 4,
            "the other tenant's stays"
        );
        let everywhere = ["audit", "erase", &ann, "--all", "--text", "Reason 3"];
        let done = stand.run_as(stand.admin.id, &everywhere)?.ends_with(0)?;
        ensure!(
            done.out == "the particulars of 2 entries were erased\n",
            "{done:?}"
        );
        ensure!(with_reasons(notes, globex).await? == 3);
        let told = stand.told("trail.erase").await?;
        let named = format!(
            "operator:{} tenancy-cli allowed ticket 4711",
            stand.admin.id
        );
        ensure!(
            !told.is_empty() && told.iter().all(|one| one.starts_with(&named)),
            "{told:?}"
        );
        ensure!(told.iter().all(|one| !one.contains("eason 3")), "{told:?}");
        let whole = stand.run(&["audit", "verify", "--all"])?.ends_with(0)?;
        ensure!(whole.out.contains("erased particulars: 2"), "{whole:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nobody_erases_what_was_recorded_of_the_own_person() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let account = UserId::new();
        notes
            .as_admin(&format!(
                "UPDATE tenancy.operators SET user_id = '{account}' WHERE id = '{}'",
                stand.admin.id
            ))
            .await?;
        stand.linked(Some(notes.acme.id), 2).await?;
        let own = [
            account.to_string(),
            stand.admin.subject.to_string(),
            stand.admin.id.to_string(),
        ];
        for person in &own {
            let erase = ["audit", "erase", person, "--all", "--text", "reason"];
            let refused = stand.run_as(stand.admin.id, &erase)?.ends_with(2)?;
            ensure!(refused.err.contains("own person"), "{refused:?}");
        }
        ensure!(with_reasons(notes, notes.acme.id).await? == 2);
        ensure!(stand.told("trail.erase").await?.is_empty());
        Ok(())
    })
    .await
}
