//! `tenancy audit tail`.

use std::io::{BufRead as _, BufReader};

use anyhow::{Context as _, ensure};
use tenancy_tests::notes::on_every_server;

use crate::stand::{Stand, entry, signal};

#[tokio::test]
async fn entries_are_told_as_they_come_until_a_signal() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        stand.linked(Some(notes.acme.id), 3).await?;
        for (format, name) in [("text", "INT"), ("json", "TERM")] {
            let follow = [
                "audit",
                "tail",
                "--all",
                "--action",
                "note.share",
                "--interval",
                "1",
            ];
            let mut child = stand.start_as(
                stand.admin.id,
                &[&follow[..], &["--format", format]].concat(),
            )?;
            let mut errors = BufReader::new(child.stderr.take().context("no errors")?);
            let mut remark = String::new();
            if format == "text" {
                errors.read_line(&mut remark)?;
                ensure!(remark.contains("Ctrl-C ends it"), "{remark}");
            } else {
                // It is recorded once it follows.
                tenancy_tests::notes::comes_back(async || {
                    let told = stand.told("trail.read").await?;
                    ensure!(
                        told.len() + stand.told("operator.list").await?.len() == 2,
                        "{told:?}"
                    );
                    Ok(())
                })
                .await?;
            }
            let mut written = entry(7);
            written.tenant = Some(notes.globex.id);
            written.reason = Some(format!("from {format}\u{1b}[2J").into());
            tenancy_core::AuditSink::record_durably(
                &tenancy_sqlx::PgAuditSink::new(&notes.system),
                written,
            )
            .await?;
            let mut lines = BufReader::new(child.stdout.take().context("no output")?);
            let mut line = String::new();
            lines.read_line(&mut line)?;
            ensure!(line.contains(&format!("from {format}")), "{line}");
            ensure!(!line.contains('\u{1b}'), "{line}");
            if format == "json" {
                let read: serde_json::Value = serde_json::from_str(&line)?;
                ensure!(read["tenant"] == notes.globex.id.to_string(), "{read}");
            } else {
                ensure!(
                    line.contains(&format!("tenant {} ", notes.globex.id)),
                    "{line}"
                );
                ensure!(line.contains(" note.share allowed note:7 "), "{line}");
            }
            signal(&child, name)?;
            let ended = child.wait()?;
            ensure!(ended.code() == Some(0), "{name}: {ended:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_is_disabled_meanwhile_is_told_no_more() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let follow = [
            "audit",
            "tail",
            "--all",
            "--action",
            "note.share",
            "--interval",
            "1",
        ];
        let mut child = stand.start_as(stand.admin.id, &follow)?;
        let mut errors = BufReader::new(child.stderr.take().context("no errors")?);
        let mut remark = String::new();
        errors.read_line(&mut remark)?;
        ensure!(remark.contains("Ctrl-C ends it"), "{remark}");
        notes
            .as_admin("UPDATE tenancy.operators SET disabled = true")
            .await?;
        stand.linked(Some(notes.acme.id), 1).await?;
        let ended = child.wait_with_output()?;
        ensure!(ended.status.code() == Some(2), "{ended:?}");
        ensure!(ended.stdout.is_empty(), "{ended:?}");
        let mut told = String::new();
        errors.read_line(&mut told)?;
        ensure!(told.contains("is disabled"), "{told}");
        Ok(())
    })
    .await
}
