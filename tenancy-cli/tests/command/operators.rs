//! Who may run which command.

use anyhow::ensure;
use tenancy_core::{OperatorId, UserId};
use tenancy_tests::notes::on_every_server;

use crate::stand::Stand;

#[tokio::test]
async fn a_command_that_reads_or_changes_takes_an_operator_and_a_reason() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        stand.linked(Some(notes.acme.id), 3).await?;
        let (admin, person) = (stand.admin.id.to_string(), UserId::new().to_string());
        let commands: [&[&str]; 4] = [
            &["audit", "export", "--all"],
            &["audit", "tail", "--all"],
            &["audit", "prune", "--keep", "1"],
            &["audit", "erase", &person, "--all", "--text", "reason"],
        ];
        for command in commands {
            let nobody = stand
                .run(&[command, &["--reason", "ticket"]].concat())?
                .ends_with(2)?;
            ensure!(nobody.err.contains("--operator"), "{nobody:?}");
            let no_reason = stand
                .run(&[command, &["--operator", &admin]].concat())?
                .ends_with(2)?;
            ensure!(no_reason.err.contains("--reason"), "{no_reason:?}");
            let blank = [command, &["--operator", &admin, "--reason", " "]].concat();
            let blank = stand.run(&blank)?.ends_with(2)?;
            ensure!(
                blank.err.contains("--reason") && blank.err.contains("not blank"),
                "{blank:?}"
            );

            let unknown = stand.run_as(OperatorId::new(), command)?.ends_with(2)?;
            ensure!(unknown.err.contains("there is no operator"), "{unknown:?}");
            let disabled = stand.run_as(stand.disabled.id, command)?.ends_with(2)?;
            ensure!(disabled.err.contains("is disabled"), "{disabled:?}");
            let lacks = stand.run_as(stand.billing.id, command)?.ends_with(2)?;
            ensure!(lacks.err.contains("has the right"), "{lacks:?}");
            for run in [unknown, disabled, lacks] {
                ensure!(run.out.is_empty(), "{run:?}");
            }
        }
        // Who was refused is in the trail.
        let told = stand.told("operator.authenticate").await?;
        ensure!(told.len() == 8, "{told:?}");
        ensure!(
            told.iter().all(|one| one.contains(" tenancy-cli refused ")),
            "{told:?}"
        );
        let told = stand.told("operator.check").await?;
        ensure!(told.len() == 4, "{told:?}");
        let billing = format!("operator:{} tenancy-cli refused ", stand.billing.id);
        ensure!(told.iter().all(|one| one.starts_with(&billing)), "{told:?}");
        // And nothing was read or changed.
        for action in ["trail.read", "operator.list", "trail.prune", "trail.erase"] {
            let told = stand.told(action).await?;
            ensure!(told.is_empty(), "{action}: {told:?}");
        }
        ensure!(
            stand
                .told("note.share")
                .await?
                .iter()
                .all(|one| one.contains("reason"))
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_verification_may_have_an_operator() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        stand.linked(None, 3).await?;
        stand
            .run_as(stand.admin.id, &["audit", "verify", "--none"])?
            .ends_with(0)?;
        let told = stand.told("trail.verify").await?;
        let named = format!(
            "operator:{} tenancy-cli allowed ticket 4711",
            stand.admin.id
        );
        ensure!(told.len() == 1 && told[0].starts_with(&named), "{told:?}");
        stand
            .run_as(stand.billing.id, &["audit", "verify", "--none"])?
            .ends_with(2)?;
        // By the variable, too.
        let mut command = stand.command(&["audit", "verify", "--none"]);
        command.env("TENANCY_OPERATOR", stand.disabled.id.to_string());
        ensure!(command.output()?.status.code() == Some(2));
        Ok(())
    })
    .await
}
