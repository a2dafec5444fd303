//! `tenancy audit export`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use anyhow::{Context as _, ensure};
use tenancy_tests::notes::on_every_server;

use crate::stand::{Run, Stand, signal};

#[tokio::test]
async fn each_format_tells_the_entries_that_were_asked_for() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (acme, globex) = (notes.acme.id.to_string(), notes.globex.id.to_string());
        stand.linked(Some(notes.acme.id), 3).await?;
        stand.linked(Some(notes.globex.id), 5).await?;
        let export = |more: &[&str]| {
            let all = [&["audit", "export", "--action", "note.share"], more].concat();
            stand.run_as(stand.admin.id, &all)?.ends_with(0)
        };
        let all = export(&["--all"])?.json()?;
        ensure!(all.len() == 8, "{all:?}");
        let of_acme = export(&["--tenant", &acme])?.json()?;
        ensure!(of_acme.len() == 3, "{of_acme:?}");
        ensure!(
            of_acme.iter().all(|entry| entry["tenant"] == acme),
            "{of_acme:?}"
        );
        let one = export(&["--tenant", &acme, "--target", "note:1"])?.json()?;
        ensure!(one.len() == 1 && one[0]["reason"] == "reason 1", "{one:?}");
        ensure!(export(&["--all", "--outcome", "refused"])?.out.is_empty());
        ensure!(export(&["--all", "--until", "2020-01-01"])?.out.is_empty());
        ensure!(export(&["--all", "--from", "2020-01-01"])?.json()?.len() == 8);
        ensure!(export(&["--all", "--actor", "system"])?.out.is_empty());

        let csv = export(&["--tenant", &globex, "--format", "csv"])?;
        ensure!(
            csv.out.lines().count() == 6 && csv.out.contains(&globex),
            "{csv:?}"
        );
        let ocsf = export(&["--tenant", &globex, "--format", "ocsf"])?.json()?;
        ensure!(ocsf.len() == 5 && ocsf[0]["class_uid"] == 6003, "{ocsf:?}");

        let operator = format!(
            "operator:{} tenancy-cli allowed ticket 4711",
            stand.admin.id
        );
        let read = stand.told("trail.read").await?;
        ensure!(
            read.len() == 4 && read.iter().all(|one| one.starts_with(&operator)),
            "{read:?}"
        );
        ensure!(
            read.iter()
                .all(|one| one.contains("\"complete\"") && one.contains("true")),
            "{read:?}"
        );
        let listed = stand.told("operator.list").await?;
        ensure!(
            listed.len() == 5 && listed.iter().all(|one| one.starts_with(&operator)),
            "{listed:?}"
        );
        Ok(())
    })
    .await
}

/// `tenancy audit export … | head -n 1`.
#[tokio::test]
async fn a_reader_who_goes_is_no_error_and_the_export_is_recorded() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let tenant = notes.acme.id;
        // More than a pipe holds.
        notes
            .as_admin(&format!(
                "INSERT INTO tenancy.audit_records (id, at, tenant_id, actor_kind, action, outcome)
                 SELECT gen_random_uuid(), now(), '{tenant}', 'system', 'note.share', 'allowed'
                 FROM generate_series(1, 4000)"
            ))
            .await?;
        let id = tenant.to_string();
        let mut child = stand.start_as(stand.admin.id, &["audit", "export", "--tenant", &id])?;
        let mut reader = BufReader::new(child.stdout.take().context("no output")?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        ensure!(first.contains("note.share"), "{first}");
        drop(reader);
        let ended = Run::of(child.wait_with_output()?).ends_with(0)?;
        ensure!(ended.err.is_empty(), "{ended:?}");
        let read = stand.told("trail.read").await?;
        let incomplete = read.iter().filter(|one| one.contains("false"));
        ensure!(incomplete.count() == 1, "{read:?}");

        // A disk that is full is an error.
        if let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") {
            let operator = stand.admin.id.to_string();
            let who = ["--operator", &operator, "--reason", "ticket 4711"];
            let mut export =
                stand.command(&[&["audit", "export", "--tenant", &id][..], &who].concat());
            let refused = Run::of(export.stdout(full).output()?).ends_with(2)?;
            ensure!(refused.err.contains("could not be written"), "{refused:?}");
        }
        // Nor are help and standard error in need of a reader.
        let mut help = stand.command(&["audit", "export", "--help"]);
        let mut help = help.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        drop(help.stdout.take());
        drop(help.stderr.take());
        ensure!(help.wait()?.code() == Some(0));
        let mut failing = stand.command(&["audit", "export"]);
        let mut failing = failing
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        drop(failing.stderr.take());
        ensure!(failing.wait()?.code() == Some(2));
        Ok(())
    })
    .await
}

/// A reader who takes nothing holds up no Ctrl-C.
#[tokio::test]
async fn an_export_that_waits_for_its_reader_is_interrupted() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let tenant = notes.acme.id;
        notes
            .as_admin(&format!(
                "INSERT INTO tenancy.audit_records (id, at, tenant_id, actor_kind, action, outcome)
                 SELECT gen_random_uuid(), now(), '{tenant}', 'system', 'note.share', 'allowed'
                 FROM generate_series(1, 4000)"
            ))
            .await?;
        let id = tenant.to_string();
        let mut child = stand.start_as(stand.admin.id, &["audit", "export", "--tenant", &id])?;
        let mut reader = BufReader::new(child.stdout.take().context("no output")?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        signal(&child, "INT")?;
        let errors = child.stderr.take().context("no errors")?;
        let code = child.wait()?.code();
        let told: Vec<String> = BufReader::new(errors).lines().collect::<Result<_, _>>()?;
        ensure!(
            code == Some(2) && told.concat().contains("interrupted"),
            "{code:?} {told:?}"
        );
        drop(reader);
        let read = stand.told("trail.read").await?;
        ensure!(read.len() == 1 && read[0].contains("false"), "{read:?}");
        Ok(())
    })
    .await
}
