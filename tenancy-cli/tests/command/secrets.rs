//! A password is in nothing that the command prints.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use anyhow::ensure;
use tenancy_tests::notes::on_every_server;

use crate::stand::{Run, Stand, run, tenancy};

const SECRET: &str = "Zw3i-Gehe1m";

fn hides(run: &Run) -> anyhow::Result<()> {
    ensure!(
        !run.out.contains(SECRET) && !run.err.contains(SECRET),
        "{run:?}"
    );
    ensure!(!run.err.is_empty(), "{run:?}");
    Ok(())
}

/// A server that lets nobody in, on this port.
fn forbidding() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1_024]);
            let said = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0";
            let length = u32::try_from(said.len() + 4).unwrap_or(0).to_be_bytes();
            let _ = stream.write_all(&[b"E", &length[..], said].concat());
        }
    });
    Ok(port)
}

#[test]
fn no_error_has_the_password() -> anyhow::Result<()> {
    let forbidding = forbidding()?;
    // A port on which nobody listens any more.
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let urls = [
        format!("postgres://tenancy_system:{SECRET}@127.0.0.1:{forbidding}/notes?sslmode=disable"),
        format!("postgres://tenancy_system:{SECRET}@127.0.0.1:{closed}/notes"),
        format!("postgres://tenancy_system:{SECRET}@127.0.0.1:port/notes"),
        format!("postgres://tenancy_system:{SECRET}@127.0.0.1:{closed}/notes?sslmode={SECRET}"),
        format!(
            "postgres://tenancy_system:{SECRET}@127.0.0.1:{forbidding}/notes?sslmode=disable&passwort={SECRET}"
        ),
        format!("postgres//tenancy_system:{SECRET}@127.0.0.1"),
        format!("host=127.0.0.1 password={SECRET}"),
        SECRET.to_owned(),
    ];
    for url in &urls {
        let mut command = tenancy(&["audit", "verify", "--all"]);
        command
            .env("TENANCY_DATABASE_URL", url)
            .env("TENANCY_LOG", "trace");
        hides(&Run::of(command.output()?).ends_with(2)?)?;
        let given = [
            "audit",
            "verify",
            "--all",
            "--format",
            "json",
            "--database-url",
            url,
        ];
        hides(&run(&given)?.ends_with(2)?)?;
    }
    let refused = run(&["audit", "seal", "--database-url", &urls[0]])?.ends_with(2)?;
    ensure!(
        refused.err.contains("refused the login `tenancy_system`"),
        "{refused:?}"
    );

    // Where it is misplaced, the parser of arguments would repeat it.
    for misplaced in [
        vec!["audit", "verify", &urls[0]],
        vec!["audit", "verify", "--tenant", &urls[0]],
        vec!["audit", "seal", &urls[6]],
    ] {
        hides(&run(&misplaced)?.ends_with(2)?)?;
    }
    let mut help = tenancy(&["audit", "anchor", "--help"]);
    help.env("TENANCY_DATABASE_URL", &urls[0]);
    help.env("TENANCY_ANCHORS_DATABASE_URL", &urls[0]);
    let help = Run::of(help.output()?).ends_with(0)?;
    ensure!(
        help.out.contains("TENANCY_DATABASE_URL") && !help.out.contains(SECRET),
        "{help:?}"
    );
    Ok(())
}

#[tokio::test]
async fn no_error_has_the_password_of_the_other_database() -> anyhow::Result<()> {
    let forbidding = forbidding()?;
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let key = stand.file("private.pem");
        for url in [
            format!("postgres://anchors:{SECRET}@127.0.0.1:{forbidding}/anchors?sslmode=disable"),
            format!("postgres://anchors:{SECRET}@127.0.0.1:port/anchors"),
        ] {
            let anchor = [
                "audit",
                "anchor",
                "--key",
                &key,
                "--name",
                "notes",
                "--to-database",
            ];
            let mut command = stand.command(&anchor);
            command
                .env("TENANCY_ANCHORS_DATABASE_URL", url)
                .env("TENANCY_LOG", "trace");
            let refused = Run::of(command.output()?).ends_with(2)?;
            hides(&refused)?;
            ensure!(
                refused.err.contains("the database of anchors"),
                "{refused:?}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_database_that_is_not_ready_is_an_error() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let verify = ["audit", "verify", "--all"];
        let without = run(&verify)?.ends_with(2)?;
        ensure!(without.err.contains("TENANCY_DATABASE_URL"), "{without:?}");
        // Neither the service's login nor an administrator will do.
        for login in ["tenancy_app", "postgres"] {
            let mut command = tenancy(&verify);
            let password = Some(tenancy_tests::notes::PASSWORD).filter(|_| login != "postgres");
            let url = match login {
                "postgres" => notes.database.url(),
                _ => notes.database.url_as(login, password),
            };
            command.env("TENANCY_DATABASE_URL", url);
            let refused = Run::of(command.output()?).ends_with(2)?;
            ensure!(refused.err.contains("tenancy_system"), "{refused:?}");
        }
        notes
            .as_admin(
                "CREATE OR REPLACE FUNCTION tenancy.schema_version() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 3'",
            )
            .await?;
        let old = stand.run(&verify)?.ends_with(2)?;
        ensure!(old.err.contains("is at version 3"), "{old:?}");
        Ok(())
    })
    .await
}
