//! Walks through the notes service over real HTTP: two tenants, and what neither can do to the
//! other. Run it with `./demo`.

mod client;
mod service;
mod usage;
mod walk;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use tenancy_tests::{RedisServer, Server, Template, Version, logwatch};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let options = Options::read()?;
    // A program that walks through the notes, and no test.
    logwatch::look_away();
    let server = Server::start(Version::Default).await?;
    let database = server.database(&Template::empty()).await?;
    let redis = match options.processes {
        1 => None,
        // All that the processes of this demo share, besides the database.
        _ => Some(RedisServer::shared().await?),
    };
    let outcome = play(&options, &database, redis).await;
    database.close().await?;
    outcome
}

struct Options {
    once: bool,
    framework: &'static str,
    processes: usize,
}

/// Each has an example of its own, `notes-<name>`.
const FRAMEWORKS: [&str; 2] = ["axum", "actix"];

impl Options {
    fn read() -> anyhow::Result<Self> {
        let mut options = Self {
            once: false,
            framework: FRAMEWORKS[0],
            processes: 1,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--once" => options.once = true,
                "--framework" => options.framework = framework(arguments.next())?,
                "--processes" => options.processes = processes(arguments.next())?,
                other => bail!(
                    "unknown argument `{other}`; there are: --once, --framework <name>, --processes <number>"
                ),
            }
        }
        Ok(options)
    }
}

fn framework(name: Option<String>) -> anyhow::Result<&'static str> {
    let known = FRAMEWORKS.join(", ");
    let name = name.with_context(|| format!("--framework needs a name, one of: {known}"))?;
    let found = FRAMEWORKS.into_iter().find(|known| *known == name);
    found.with_context(|| format!("there is no example for `{name}`; there is one for: {known}"))
}

fn processes(number: Option<String>) -> anyhow::Result<usize> {
    let number = number.and_then(|number| number.parse().ok());
    let number = number.filter(|number| (1..=16).contains(number));
    number.context("--processes needs a number from 1 to 16")
}

async fn play(
    options: &Options,
    database: &tenancy_tests::TestDatabase,
    redis: Option<String>,
) -> anyhow::Result<()> {
    let Options {
        framework,
        processes,
        ..
    } = *options;
    let mut service = service::Service::start(framework, processes, database, redis).await?;
    let shown = walk::walk(&service, database).await;
    if shown.is_ok() && !options.once {
        service.invite();
        asked_to_end().await?;
    }
    service.stop().await?;
    shown
}

/// Ctrl-C, or the signal that `kill` sends.
async fn asked_to_end() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}
