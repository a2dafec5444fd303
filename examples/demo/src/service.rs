//! The notes service as a process of its own: installed, provisioned, started, stopped.

use std::{net::TcpListener, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tenancy::{TenantId, UserId};
use tenancy_tests::TestDatabase;
use tokio::process::{Child, Command};

use crate::client::Client;

const APP_PASSWORD: &str = "the service's own";
const SYSTEM_PASSWORD: &str = "the operators' own";
/// The login that counts usage.
const REGISTRY_PASSWORD: &str = "the registry's own";
const TOKEN_SECRET: &str = "the identity provider's secret, 32 bytes or more";

/// One tenant of the demo.
pub(crate) struct Customer {
    pub(crate) slug: &'static str,
    pub(crate) id: TenantId,
    pub(crate) user: Client,
}

/// The running service, two tenants, and a token for each of their owners and for the operator.
pub(crate) struct Service {
    processes: Vec<Child>,
    pub(crate) ports: Vec<u16>,
    pub(crate) acme: Customer,
    pub(crate) globex: Customer,
    pub(crate) operator: Client,
}

struct Program {
    name: String,
    path: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Program {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let done = self.command(arguments).output().await?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(
            done.status.success(),
            "{} {arguments:?} failed:\n{said}",
            self.name
        );
        Ok(String::from_utf8(done.stdout)?.trim().to_owned())
    }
}

impl Service {
    /// Starts so many processes. Where they have a Redis, they count limits together.
    pub(crate) async fn start(
        framework: &str,
        processes: usize,
        database: &TestDatabase,
        redis: Option<String>,
    ) -> anyhow::Result<Self> {
        let ports = free_ports(processes)?;
        let operator = UserId::new();
        let name = format!("notes-{framework}");
        let program = Program {
            path: std::env::current_exe()?.with_file_name(&name),
            name,
            environment: vec![
                ("ADMIN_DATABASE_URL", database.url()),
                (
                    "DATABASE_URL",
                    database.url_as("tenancy_app", Some(APP_PASSWORD)),
                ),
                (
                    "SYSTEM_DATABASE_URL",
                    database.url_as("tenancy_system", Some(SYSTEM_PASSWORD)),
                ),
                ("NOTES_APP_PASSWORD", APP_PASSWORD.to_owned()),
                ("NOTES_SYSTEM_PASSWORD", SYSTEM_PASSWORD.to_owned()),
                ("REGISTRY_DATABASE_URL", registry_url(database)),
                ("NOTES_REGISTRY_PASSWORD", REGISTRY_PASSWORD.to_owned()),
                ("NOTES_TOKEN_SECRET", TOKEN_SECRET.to_owned()),
                ("NOTES_OPERATOR", operator.to_string()),
                ("RUST_LOG", "off".to_owned()),
            ]
            .into_iter()
            .chain(redis.map(|url| ("REDIS_URL", url)))
            .collect(),
        };
        ensure!(
            program.path.exists(),
            "`{}` is not built; run `./demo`, which builds it",
            program.path.display()
        );
        match processes {
            1 => println!("The service is `{}`.", program.name),
            _ => println!(
                "The service is `{}`, in {processes} processes.",
                program.name
            ),
        }
        println!("Installing roles, schema and tables, then two tenants: acme and globex.\n");
        program.run(&["install"]).await?;
        let client = |user| Client::new(&ports, user, TOKEN_SECRET);
        let acme = provision(&program, "acme", "Acme Ltd", &client).await?;
        let globex = provision(&program, "globex", "Globex Inc", &client).await?;
        let mut processes = Vec::new();
        for port in &ports {
            let mut process = program
                .command(&[])
                .env("NOTES_ADDRESS", format!("127.0.0.1:{port}"))
                .spawn()?;
            let it_alone = Client::new(&[*port], operator, TOKEN_SECRET)?;
            wait_until_ready(&mut process, &it_alone).await?;
            processes.push(process);
        }
        let operator = client(operator)?;
        Ok(Self {
            processes,
            ports,
            acme,
            globex,
            operator,
        })
    }

    /// What to try while the service is up.
    pub(crate) fn invite(&self) {
        println!("The service stays up until Ctrl-C. Try, in another terminal:\n");
        println!("  ALICE='{}'", self.acme.user.token());
        println!("  BOB='{}'\n", self.globex.user.token());
        let port = self.ports.first().copied().unwrap_or_default();
        for (what, arguments) in [
            (
                "Alice's notes",
                "-H \"authorization: Bearer $ALICE\" -H 'host: acme.notes.localhost'",
            ),
            (
                "Bob at Alice's",
                "-H \"authorization: Bearer $BOB\" -H 'host: acme.notes.localhost'",
            ),
            ("No token", "-H 'host: acme.notes.localhost'"),
        ] {
            println!("  # {what}\n  curl -i http://127.0.0.1:{port}/notes {arguments}");
        }
        println!();
    }

    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            process.kill().await.context("stopping the service")?;
        }
        Ok(())
    }
}

/// The database, as the login that counts usage.
pub(crate) fn registry_url(database: &TestDatabase) -> String {
    database.url_as("tenancy_registry", Some(REGISTRY_PASSWORD))
}

async fn provision(
    program: &Program,
    slug: &'static str,
    name: &str,
    client: &impl Fn(UserId) -> anyhow::Result<Client>,
) -> anyhow::Result<Customer> {
    let owner = UserId::new();
    let id = program
        .run(&["provision", slug, name, &owner.to_string()])
        .await?;
    Ok(Customer {
        slug,
        id: id.parse()?,
        user: client(owner)?,
    })
}

/// Port 3000 first if it is free, so that the commands to try are easy to type.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut listeners = Vec::new();
    for number in 0..count {
        let any = || TcpListener::bind("127.0.0.1:0");
        let listener = match number {
            0 => TcpListener::bind("127.0.0.1:3000").or_else(|_| any()),
            _ => any(),
        };
        listeners.push(listener?);
    }
    let ports = listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()));
    ports.collect()
}

async fn wait_until_ready(process: &mut Child, client: &Client) -> anyhow::Result<()> {
    for _ in 0..200 {
        if let Some(status) = process.try_wait()? {
            bail!("the service ended at its start with {status}");
        }
        if client
            .get("127.0.0.1", "/ready")
            .await
            .is_ok_and(|answer| answer.status == 200)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the service did not become ready")
}
