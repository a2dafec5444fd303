//! `tenancy audit anchor`, and what a verification does with anchors.

use std::{fs, process::Stdio};

use anyhow::ensure;
use tenancy_tests::notes::on_every_server;

use crate::stand::{Run, Stand, written};

#[tokio::test]
async fn a_chain_that_was_made_anew_contradicts_its_anchor() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let tenant = notes.acme.id;
        stand.linked(Some(tenant), 10).await?;
        let (private, public) = (stand.file("private.pem"), stand.file("public.pem"));
        let (kept, vault) = (
            stand.file("anchors"),
            notes.database.url_as("postgres", None),
        );
        let signing = ["audit", "anchor", "--key", &private, "--name", "notes"];
        let to_file = stand
            .run(&[&signing[..], &["--file", &kept]].concat())?
            .ends_with(0)?;
        ensure!(to_file.out == "1 chains are anchored\n", "{to_file:?}");
        let to_database = [&signing[..], &["--to-database", "--format", "json"]].concat();
        let missing = stand.run(&to_database)?.ends_with(2)?;
        ensure!(
            missing.err.contains("TENANCY_ANCHORS_DATABASE_URL"),
            "{missing:?}"
        );
        let there = [&to_database[..], &["--anchors-database-url", &vault]].concat();
        let told = stand.run(&there)?.ends_with(0)?.json()?;
        ensure!(told[0]["anchored"] == 1, "{told:?}");
        // The same lines, printed.
        let printed = stand.run(&signing)?.ends_with(0)?;
        ensure!(
            printed.out.lines().count() == 1 && printed.out.starts_with("eyJ"),
            "{printed:?}"
        );
        let json = stand
            .run(&[&signing[..], &["--format", "json"]].concat())?
            .json()?;
        ensure!(
            json[0]["anchor"]
                .as_str()
                .is_some_and(|line| line.starts_with("eyJ"))
        );

        let id = tenant.to_string();
        let plain = ["audit", "verify", "--tenant", &id];
        let keys = ["--key", &public, "--name", "notes"];
        let by_file = [&plain[..], &keys, &["--anchors", &kept]].concat();
        let database = ["--anchors-from-database", "--anchors-database-url", &vault];
        let by_database = [&plain[..], &keys, &database].concat();
        for with in [&by_file, &by_database] {
            let whole = stand.run(with)?.ends_with(0)?;
            ensure!(whole.out.contains("anchored up to number 10"), "{whole:?}");
        }

        stand
            .tamper(&format!(
                "UPDATE tenancy.audit_records SET outcome = 'failed' WHERE id =
                     (SELECT entry FROM tenancy.audit_links WHERE chain = '{tenant}' AND seq = 3);
                 DELETE FROM tenancy.audit_links WHERE chain = '{tenant}';
                 DELETE FROM tenancy.audit_heads WHERE chain = '{tenant}';
                 INSERT INTO tenancy.audit_unsealed (entry, chain)
                     SELECT id, '{tenant}' FROM tenancy.audit_records WHERE tenant_id = '{tenant}'
                     ON CONFLICT DO NOTHING;
                 SELECT tenancy.seal_trail(100, true, false)"
            ))
            .await?;
        stand.run(&plain)?.ends_with(0)?;
        for with in [&by_file, &by_database] {
            let broken = stand.run(with)?.ends_with(1)?;
            ensure!(
                broken.out.contains("anchor-differs at link 10"),
                "{broken:?}"
            );
        }

        // A chain that is gone without a trace, tenant and all, is missing among those that are there.
        stand
            .tamper(&format!(
                "SET session_replication_role = replica;
                 DELETE FROM tenancy.audit_links; DELETE FROM tenancy.audit_heads;
                 DELETE FROM tenancy.audit_unsealed; DELETE FROM tenancy.audit_particulars;
                 DELETE FROM tenancy.audit_records; DELETE FROM notes WHERE tenant_id = '{tenant}';
                 DELETE FROM tenancy.memberships WHERE tenant_id = '{tenant}';
                 DELETE FROM tenancy.tenants WHERE id = '{tenant}'"
            ))
            .await?;
        stand.run(&["audit", "verify", "--all"])?.ends_with(0)?;
        let all = [&["audit", "verify", "--all", "--anchors", &kept], &keys[..]].concat();
        let gone = stand.run(&all)?.ends_with(1)?;
        ensure!(
            gone.out.contains(&format!("tenant {id}: broken, tail-cut")),
            "{gone:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_line_that_is_no_anchor_is_never_passed_over() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        stand.linked(Some(notes.acme.id), 3).await?;
        let (private, public) = (stand.file("private.pem"), stand.file("public.pem"));
        let kept = stand.file("anchors");
        let signing = [
            "audit", "anchor", "--key", &private, "--name", "notes", "--file", &kept,
        ];
        stand.run(&signing)?.ends_with(0)?;
        stand.linked(Some(notes.acme.id), 1).await?;
        stand.run(&signing)?.ends_with(0)?;
        // Nothing has moved since.
        let unmoved = stand.run(&signing)?.ends_with(0)?;
        ensure!(unmoved.out.contains("0 chains are anchored"), "{unmoved:?}");
        let verify = |key: &str, name: &str| {
            stand.run(&[
                "audit",
                "verify",
                "--all",
                "--anchors",
                &kept,
                "--key",
                key,
                "--name",
                name,
            ])
        };
        verify(&public, "notes")?.ends_with(0)?;
        // The key has an id now, which older anchors need not name.
        verify(&format!("2027={public}"), "notes")?.ends_with(0)?;

        let other = verify(&public, "copy")?.ends_with(2)?;
        ensure!(
            other.err.contains("line 1 of") && other.err.contains("no anchor of `copy`"),
            "{other:?}"
        );
        let private = verify(&private, "notes")?.ends_with(2)?;
        ensure!(private.err.contains("private.pem"), "{private:?}");
        ensure!(!private.err.contains("MC4CAQ"), "a key is in {private:?}");
        let missing = verify(&stand.file("no.pem"), "notes")?.ends_with(2)?;
        ensure!(missing.err.contains("no.pem"), "{missing:?}");

        // What nobody has read, and what can't be written, is kept nowhere.
        let mut unread =
            stand.command(&["audit", "anchor", "--key", signing[3], "--name", "notes"]);
        let mut unread = unread
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        drop(unread.stdout.take());
        let unread = Run::of(unread.wait_with_output()?).ends_with(2)?;
        ensure!(
            unread.err.contains("the anchors are not kept: "),
            "{unread:?}"
        );
        let nowhere = stand.file("nowhere/anchors");
        let nowhere = stand
            .run(&[&signing[..7], &[&nowhere]].concat())?
            .ends_with(2)?;
        ensure!(
            nowhere
                .err
                .contains("the anchors are not kept: the file of anchors"),
            "{nowhere:?}"
        );

        let good = fs::read_to_string(&kept)?;
        written(
            &stand.path("anchors"),
            &format!("{good}eyJhbGciOiJFZERTQSJ9.e30.AAAA\n"),
        )?;
        let forged = verify(&public, "notes")?.ends_with(2)?;
        ensure!(
            forged.err.contains("line 3 of") && forged.err.contains("nothing was verified"),
            "{forged:?}"
        );
        ensure!(forged.out.is_empty(), "{forged:?}");
        written(&stand.path("anchors"), "\n")?;
        let none = verify(&public, "notes")?.ends_with(2)?;
        ensure!(none.err.contains("no anchors are in"), "{none:?}");
        let without = stand
            .run(&["audit", "verify", "--all", "--anchors", &kept])?
            .ends_with(2)?;
        ensure!(
            without.err.contains("--key") && without.err.contains("--name"),
            "{without:?}"
        );
        Ok(())
    })
    .await
}
