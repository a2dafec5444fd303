//! The environment variables, each tried in a process of its own: this one's are fixed by now.

mod support;

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use support::{eventually, is_external, listens};
use tenancy_tests::{Binaries, Server, Version};

/// Set in the process that does the trying; says what to do.
const ACT: &str = "TENANCY_HARNESS_ACT";

/// Runs `act` below with these variables; gives what it wrote, stderr last.
fn act(what: &str, variables: &[(&str, &str)]) -> Result<String> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--exact", "actor", "--show-output"])
        .env_remove("DATABASE_URL")
        .env_remove("CI")
        .env_remove("TENANCY_REQUIRE_PG18")
        .env(ACT, what)
        .envs(variables.iter().copied())
        .output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Not a test by itself: what the others start.
#[tokio::test]
async fn actor() -> Result<()> {
    match std::env::var(ACT).unwrap_or_default().as_str() {
        "find" => match Binaries::installed() {
            Ok(found) => println!("found {}", found.dir().display()),
            Err(error) => println!("error {error}"),
        },
        "start" => {
            let server = Server::start(Version::Default).await?;
            println!("address {}", server.address());
        }
        "v18" => match Server::start_or_skip(Version::V18).await {
            Ok(server) => println!("skipped {}", server.is_none()),
            Err(error) => println!("error {error}"),
        },
        _ => {}
    }
    Ok(())
}

#[test]
fn missing_binaries_are_named_with_their_remedy() -> Result<()> {
    let given = act("find", &[("TENANCY_PG_BIN", "/nonexistent")])?;
    ensure!(
        given.contains("error PostgreSQL 15 or newer in TENANCY_PG_BIN=/nonexistent"),
        given
    );

    let v18 = act(
        "v18",
        &[("TENANCY_PG18_BIN", "/nonexistent"), ("CI", "true")],
    )?;
    ensure!(
        v18.contains("is not available; run `scripts/postgres-18`"),
        v18
    );
    Ok(())
}

#[test]
fn postgres_18_is_skipped_visibly_or_required() -> Result<()> {
    let missing = ("TENANCY_PG18_BIN", "/nonexistent");
    for (variables, skipped) in [
        (vec![missing], true),
        (vec![missing, ("CI", "true")], false),
        (vec![missing, ("CI", "false")], true),
        (
            vec![missing, ("CI", "true"), ("TENANCY_REQUIRE_PG18", "0")],
            true,
        ),
        (vec![missing, ("TENANCY_REQUIRE_PG18", "1")], false),
    ] {
        let said = act("v18", &variables)?;
        assert_eq!(
            said.contains("skipped true"),
            skipped,
            "{variables:?}: {said}"
        );
        assert_eq!(
            said.contains("SKIPPED: PostgreSQL 18"),
            skipped,
            "{variables:?}: {said}"
        );
        assert_eq!(
            said.contains("error PostgreSQL 18"),
            !skipped,
            "{variables:?}: {said}"
        );
    }
    Ok(())
}

#[test]
fn the_launcher_can_be_named_and_its_cluster_goes_with_it() -> Result<()> {
    if is_external() && support::binaries()?.is_none() {
        return Ok(());
    }
    let mut launcher = Command::new("sleep")
        .arg("600")
        .stdout(Stdio::null())
        .spawn()?;
    let pid = launcher.id().to_string();
    let variables = [("TENANCY_TEST_LAUNCHER", pid.as_str())];

    let first = act("start", &variables)?;
    let second = act("start", &variables)?;

    let port = |said: &str| -> Option<u16> {
        said.split("address 127.0.0.1:")
            .nth(1)?
            .lines()
            .next()?
            .parse()
            .ok()
    };
    let started = port(&first).context(first)?;
    assert_eq!(port(&second), Some(started), "{second}");
    assert!(listens(started));
    launcher.kill()?;
    launcher.wait()?;
    eventually("the cluster has gone", || !listens(started))
}
