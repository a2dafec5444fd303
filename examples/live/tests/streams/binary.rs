//! The program itself: installed, two tenants, one suspended by another process, interrupted.

use std::{net::SocketAddr, process::Stdio};

use anyhow::Context as _;
use tenancy::UserId;
use tenancy_tests::{
    Server, Template, TestDatabase, Version,
    notes::{PASSWORD, SECRET},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{client::Client, world::SOON};

/// The program with its environment.
fn live(database: &TestDatabase) -> anyhow::Result<Command> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_live"));
    let url = |login| database.url_as(login, Some(PASSWORD));
    command
        .env("ADMIN_DATABASE_URL", database.url())
        .env("LIVE_APP_PASSWORD", PASSWORD)
        .env("LIVE_SYSTEM_PASSWORD", PASSWORD)
        .env("DATABASE_URL", url("tenancy_app"))
        .env("SYSTEM_DATABASE_URL", url("tenancy_system"))
        .env("LIVE_TOKEN_SECRET", std::str::from_utf8(SECRET)?)
        .env("LIVE_ADDRESS", "127.0.0.1:0")
        .env_remove("RUST_LOG")
        .kill_on_drop(true);
    Ok(command)
}

/// Runs a subcommand, and returns what it prints.
async fn run(database: &TestDatabase, arguments: &[&str]) -> anyhow::Result<String> {
    let done = live(database)?.args(arguments).output().await?;
    let complaint = String::from_utf8_lossy(&done.stderr);
    anyhow::ensure!(done.status.success(), "{arguments:?}: {complaint}");
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}

/// Serves, on a free port.
async fn serve(database: &TestDatabase) -> anyhow::Result<(Child, SocketAddr)> {
    let mut serving = live(database)?
        .arg("serve")
        .stderr(Stdio::piped())
        .spawn()?;
    let mut log = BufReader::new(serving.stderr.take().context("its log")?).lines();
    let listening = async {
        while let Some(line) = log.next_line().await? {
            if let Some((_, address)) = line.split_once("listening address=") {
                return Ok(address.parse()?);
            }
        }
        anyhow::bail!("it does not listen")
    };
    let address = timeout(SOON, listening).await??;
    // Whoever does not read the log any more must not make the program fail that writes it.
    tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    Ok((serving, address))
}

#[tokio::test]
async fn the_program_installs_provisions_serves_suspends_and_ends() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let database = server.database(&Template::empty()).await?;
    run(&database, &["install"]).await?;
    let (alice, bob) = (UserId::new(), UserId::new());
    let acme = run(
        &database,
        &["provision", "acme", "Acme", &alice.to_string()],
    )
    .await?;
    let globex = ["provision", "globex", "Globex", &bob.to_string()];
    run(&database, &globex).await?;

    let (mut serving, address) = serve(&database).await?;
    let client = |slug: &str, user| Client::new(address, format!("{slug}.notes.localhost"), user);
    let mut acmes = client("acme", alice).socket().await?;
    let mut globexs = client("globex", bob).socket().await?;
    acmes.write("hello").await?;
    assert_eq!(acmes.note().await?, "hello");

    run(&database, &["suspend", &acme]).await?;
    let suspended = "urn:tenancy:problem:tenant-suspended";
    assert_eq!(acmes.end().await?, (1008, suspended.into()));
    globexs.write("still here").await?;
    assert_eq!(globexs.note().await?, "still here");

    let interrupt = format!("kill -INT {}", serving.id().context("it runs")?);
    let interrupt = Command::new("sh").args(["-c", &interrupt]).status().await?;
    anyhow::ensure!(interrupt.success());
    let unavailable = "urn:tenancy:problem:unavailable";
    assert_eq!(globexs.end().await?, (1013, unavailable.into()));
    let status = timeout(SOON, serving.wait()).await??;
    assert!(status.success(), "{status}");
    Ok(database.close().await?)
}
