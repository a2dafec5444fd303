//! A directory over the system login alone: for programs of operators, and for no request.

use std::sync::Arc;

use anyhow::ensure;
use tenancy_core::{
    EntryDirectory as _, EntryQuery, Tenancy, TenantDirectory as _, TenantFilter, TenantId,
    TenantKey, danger,
};
use tenancy_sqlx::{PgDirectory, schema::SealWay};
use tenancy_tests::notes::{self, Notes, on_every_server_sealed};

fn engine(notes: &Notes, directory: &PgDirectory) -> anyhow::Result<Tenancy> {
    let audit = Arc::clone(&notes.audit);
    Ok(notes::builder(directory.clone())?
        .shared_audit(audit)
        .build()?)
}

/// Also where sessions are sealed, for which it has no key.
#[tokio::test]
async fn it_finds_lists_and_changes_tenants_and_admits_nobody() -> anyhow::Result<()> {
    for seal in [None, Some(SealWay::Row)] {
        on_every_server_sealed(seal, async |notes| {
            let directory = PgDirectory::of_operators(&notes.system);
            let admin = engine(notes, &directory)?.admin(danger::service("a test")?);
            admin.set_plan(notes.acme.id, Some("pro")).await?;
            for tenant in [&notes.acme, &notes.globex] {
                let slug = TenantKey::Slug(tenant.slug.clone());
                for key in [TenantKey::Id(tenant.id), slug] {
                    let found = directory.find_tenant(&key).await?;
                    let found = found.ok_or_else(|| anyhow::anyhow!("{key:?} is nobody's"))?;
                    ensure!(
                        (found.id, &found.name) == (tenant.id, &tenant.name),
                        "{found:?}"
                    );
                    let is_acme = tenant.id == notes.acme.id;
                    ensure!(found.plan.is_some() == is_acme, "{found:?}");
                }
            }
            for nobody in [
                TenantKey::Id(TenantId::new()),
                TenantKey::Slug("nobody".parse()?),
            ] {
                ensure!(directory.find_tenant(&nobody).await?.is_none());
            }
            let page = admin.list_tenants(&TenantFilter::new(), None, 10).await?;
            ensure!(page.len() == 2, "{page:?}");

            // The owner, whom the service's own directory admits.
            let serving = engine(notes, &notes.directory)?;
            ensure!(super::admit(&serving, notes.alice, "acme").await.is_ok());
            let tenancy = engine(notes, &directory)?;
            let refused = super::admit(&tenancy, notes.alice, "acme").await;
            let status = refused.err().map(|refusal| refusal.kind().status());
            ensure!(status == Some(503), "{status:?}");
            let query = EntryQuery::new(notes.acme.id.into(), Some(notes.alice), TenantId::new());
            ensure!(directory.find_entry(&query).await.is_err());
            Ok(())
        })
        .await?;
    }
    Ok(())
}
