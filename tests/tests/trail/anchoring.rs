//! Anchors: signed, kept in a file and in another database, and read back for a verification.

use anyhow::ensure;
use tenancy_core::{
    AnchorFile, AnchorPage, AnchorStore, AuditError, ChainFaultKind, ChainHead, danger,
    jwt::{Algorithm, AnchorSigner, AnchorVerifier, SigningKey, VerificationKey},
};
use tenancy_sqlx::PgAnchors;
use tenancy_tests::notes::on_every_server;

use super::{linked, service};

const SECRET: [u8; 32] = [11; 32];

fn heads(verifier: &AnchorVerifier, lines: &[String]) -> anyhow::Result<Vec<ChainHead>> {
    let read = lines
        .iter()
        .map(|line| verifier.read(line).map(|(head, _)| head));
    Ok(read.collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn anchors_are_kept_elsewhere_and_show_what_was_made_anew() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, globex) = (Some(notes.acme.id), Some(notes.globex.id));
        for tenant in [acme, globex, None] {
            linked(notes, tenant, 3).await?;
        }
        let signer = AnchorSigner::new("notes", SigningKey::hmac(Algorithm::HS256, SECRET)?);
        let key = VerificationKey::hmac(Algorithm::HS256, SECRET)?;
        let verifier = AnchorVerifier::new("notes", [key])?;
        let folder = tempfile::tempdir()?;
        let file = AnchorFile::new(folder.path().join("anchors"));
        // Another database would be another server's; here it is another schema's table of this one.
        let elsewhere = PgAnchors::connect(&notes.database.url_as("postgres", None)).await?;
        let stores: [&dyn AnchorStore; 2] = [&file, &elsewhere];
        let tenancy = &notes.tenancy;
        for store in stores {
            let admin = tenancy.admin(danger::service("anchors")?);
            let kept = admin.anchor_trail(&signer, store).await?;
            ensure!(kept == 3, "{kept}");
            linked(notes, acme, 2).await?;
            // The one that has moved, and then none.
            for moved in [1, 0] {
                let kept = admin.anchor_trail(&signer, store).await?;
                ensure!(kept == moved, "{kept}");
            }
            let lines = store.kept().await?;
            let anchors = heads(&verifier, &lines)?;
            ensure!(anchors.len() == 4, "{anchors:?}");
            let first = store.kept_from(0, 3).await?;
            ensure!(first.anchors == lines[..3], "{first:?}");
            let second = store.kept_from(first.next, 3).await?;
            ensure!(second.anchors == lines[3..], "{second:?}");
            let end = store.kept_from(second.next, 3).await?;
            ensure!(end.anchors.is_empty(), "{end:?}");
            let report = service(notes)?.verify_trail(acme, &anchors).await?;
            ensure!(report.is_whole() && report.anchored > 3, "{report:?}");
        }
        let anchors = heads(&verifier, &file.kept().await?)?;
        let anew = format!(
            "ALTER TABLE tenancy.audit_records DISABLE TRIGGER USER;
             ALTER TABLE tenancy.audit_links DISABLE TRIGGER USER;
             UPDATE tenancy.audit_records SET outcome = 'failed' WHERE id =
                 (SELECT entry FROM tenancy.audit_links WHERE chain = '{0}' AND seq = 1);
             DELETE FROM tenancy.audit_links WHERE chain = '{0}';
             DELETE FROM tenancy.audit_heads WHERE chain = '{0}';
             INSERT INTO tenancy.audit_unsealed (entry, chain)
                 SELECT id, '{0}' FROM tenancy.audit_records WHERE tenant_id = '{0}';
             SELECT tenancy.seal_trail(100, true, false)",
            notes.acme.id
        );
        notes.as_admin(&anew).await?;
        // It stands at the number that is anchored, and has another hash: that is a move.
        let seq = |heads: &[ChainHead]| {
            let of_chain = heads.iter().filter(|head| head.tenant == acme);
            of_chain.map(|head| head.seq).max()
        };
        let before = heads(&verifier, &elsewhere.kept().await?)?;
        let now = service(notes)?.list_chain_heads(None, 10).await?;
        ensure!(seq(&now) == seq(&before), "{now:?}");
        let moved = service(notes)?.anchor_trail(&signer, &elsewhere).await?;
        ensure!(moved == 1, "{moved}");
        let both = heads(&verifier, &elsewhere.kept().await?)?;
        let rewritten = service(notes)?.verify_trail(acme, &both).await?;
        let kind = rewritten.fault.map(|fault| fault.kind);
        ensure!(kind == Some(ChainFaultKind::AnchorDiffers), "{rewritten:?}");
        let without = service(notes)?.verify_trail(acme, &[]).await?;
        ensure!(without.is_whole(), "{without:?}");
        let with = service(notes)?.verify_trail(acme, &anchors).await?;
        let kind = with.fault.map(|fault| fault.kind);
        ensure!(kind == Some(ChainFaultKind::AnchorDiffers), "{with:?}");
        let other = service(notes)?.verify_trail(globex, &anchors).await?;
        ensure!(other.is_whole() && other.anchored == 3, "{other:?}");
        Ok(())
    })
    .await
}

/// A place from which nothing is read back.
struct WriteOnly;

#[tenancy_core::async_trait]
impl AnchorStore for WriteOnly {
    async fn keep(&self, _: &[String]) -> Result<(), AuditError> {
        Ok(())
    }

    async fn kept_from(&self, _: u64, _: u32) -> Result<AnchorPage, AuditError> {
        Ok(AnchorPage::default())
    }
}

/// A line that somebody else has put there, or that is not this database's, keeps nobody from signing.
#[tokio::test]
async fn what_the_signer_has_not_signed_is_no_anchor() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let acme = Some(notes.acme.id);
        linked(notes, acme, 2).await?;
        let signer = AnchorSigner::new("notes", SigningKey::hmac(Algorithm::HS256, SECRET)?);
        let forger = AnchorSigner::new("notes", SigningKey::hmac(Algorithm::HS256, [12; 32])?);
        let copy = AnchorSigner::new("copy", SigningKey::hmac(Algorithm::HS256, SECRET)?);
        let folder = tempfile::tempdir()?;
        let file = AnchorFile::new(folder.path().join("anchors"));
        let admin = service(notes)?;
        let all = admin.anchor_trail(&signer, &file).await?;
        ensure!(all > 0 && admin.anchor_trail(&signer, &file).await? == 0);
        let heads = admin.list_chain_heads(None, 10).await?;
        let head = heads.iter().find(|head| head.tenant == acme);
        let head = head.ok_or_else(|| anyhow::anyhow!("acme has a chain"))?;
        let now = notes.tenancy.clock().now();
        for other in [&forger, &copy] {
            file.keep(&[other.sign(head, now)?]).await?;
            ensure!(admin.anchor_trail(&signer, &file).await? == 1);
            ensure!(admin.anchor_trail(&signer, &file).await? == 0);
        }
        file.keep(&["no anchor".to_owned(), String::new()]).await?;
        ensure!(admin.anchor_trail(&signer, &file).await? == 0);
        ensure!(admin.anchor_whole_trail(&signer, &file).await? == all);
        for _ in 0..2 {
            ensure!(admin.anchor_trail(&signer, &WriteOnly).await? == all);
        }
        Ok(())
    })
    .await
}
