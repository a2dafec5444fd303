//! What the tests stand on: a database, operators, entries, and the program.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _};
use tempfile::TempDir;
use tenancy_core::{
    AuditEntry, AuditSink as _, AuditTrail as _, Clock as _, Operator, OperatorId, OperatorRole,
    Outcome, SystemClock, TenantId, UserId,
};
use tenancy_sqlx::PgAuditSink;
use tenancy_tests::notes::{Notes, PASSWORD};

/// The pair of keys of RFC 8410, section 10.3.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

/// The tables of the trail that have guards.
const GUARDED: [&str; 4] = [
    "audit_records",
    "audit_particulars",
    "audit_links",
    "audit_checkpoints",
];

/// A run of the program that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its results, each an object in a line.
    pub(crate) fn json(&self) -> anyhow::Result<Vec<Value>> {
        let lines = self.out.lines();
        let read = lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned()));
        read.collect()
    }

    /// Makes sure of the exit code.
    pub(crate) fn ends_with(self, code: i32) -> anyhow::Result<Self> {
        ensure!(self.code == Some(code), "{self:?}");
        Ok(self)
    }
}

/// The program, without any variable of the machine that it would heed.
pub(crate) fn tenancy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenancy"));
    for name in [
        "TENANCY_DATABASE_URL",
        "TENANCY_ANCHORS_DATABASE_URL",
        "TENANCY_ADMIN_DATABASE_URL",
        "TENANCY_OPERATOR",
        "TENANCY_LOG",
    ] {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<Run> {
    Ok(Run::of(tenancy(arguments).output()?))
}

/// A database with operators, and a folder.
pub(crate) struct Stand<'n> {
    pub(crate) notes: &'n Notes,
    pub(crate) admin: Operator,
    pub(crate) billing: Operator,
    pub(crate) disabled: Operator,
    folder: TempDir,
}

impl<'n> Stand<'n> {
    pub(crate) async fn new(notes: &'n Notes) -> anyhow::Result<Self> {
        let stand = Self {
            notes,
            admin: operator("Mia", OperatorRole::Admin),
            billing: operator("Bo", OperatorRole::Billing),
            disabled: operator("Dan", OperatorRole::Admin),
            folder: tempfile::tempdir()?,
        };
        for (operator, disabled) in [
            (&stand.admin, false),
            (&stand.billing, false),
            (&stand.disabled, true),
        ] {
            let roles: Vec<_> = operator.roles.iter().map(|role| role.as_str()).collect();
            let mut admin = notes.database.admin().await?;
            sqlx::query(
                "INSERT INTO tenancy.operators (id, issuer, subject, name, roles, disabled)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(operator.id.as_uuid())
            .bind(&operator.issuer)
            .bind(operator.subject.as_uuid())
            .bind(&operator.name)
            .bind(roles)
            .bind(disabled)
            .execute(&mut admin)
            .await?;
        }
        fs::write(stand.path("private.pem"), PRIVATE)?;
        fs::write(stand.path("public.pem"), PUBLIC)?;
        Ok(stand)
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as a text.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The program over the database.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tenancy(arguments);
        let url = self.notes.database.url_as("tenancy_system", Some(PASSWORD));
        command.env("TENANCY_DATABASE_URL", url);
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<Run> {
        Ok(Run::of(self.command(arguments).output()?))
    }

    /// The same as an operator, for a reason.
    pub(crate) fn run_as(&self, operator: OperatorId, arguments: &[&str]) -> anyhow::Result<Run> {
        let id = operator.to_string();
        let who = ["--operator", &id, "--reason", "ticket 4711"];
        self.run(&[arguments, &who].concat())
    }

    /// Starts it as an operator, for a reason, with both outputs to be read.
    pub(crate) fn start_as(
        &self,
        operator: OperatorId,
        arguments: &[&str],
    ) -> anyhow::Result<Child> {
        let id = operator.to_string();
        let who = ["--operator", &id, "--reason", "ticket 4711"];
        let mut command = self.command(&[arguments, &who].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command.spawn()?)
    }

    /// Entries of a tenant, linked.
    pub(crate) async fn linked(
        &self,
        tenant: Option<TenantId>,
        count: u64,
    ) -> anyhow::Result<Vec<AuditEntry>> {
        let sink = PgAuditSink::new(&self.notes.system);
        let mut entries = Vec::new();
        for number in 0..count {
            let mut entry = entry(number);
            entry.tenant = tenant;
            sink.record_durably(entry.clone()).await?;
            entries.push(entry);
        }
        self.notes.directory.seal().await?;
        Ok(entries)
    }

    /// Runs SQL as a superuser with the guards of the trail switched off.
    pub(crate) async fn tamper(&self, sql: &str) -> anyhow::Result<()> {
        let mut admin = self.notes.database.admin().await?;
        for table in GUARDED {
            let off = format!("ALTER TABLE tenancy.{table} DISABLE TRIGGER USER");
            admin.execute(AssertSqlSafe(off)).await?;
        }
        admin.execute(AssertSqlSafe(sql.to_owned())).await?;
        // What is recorded from here on is linked again.
        for table in GUARDED {
            let on = format!("ALTER TABLE tenancy.{table} ENABLE TRIGGER USER");
            admin.execute(AssertSqlSafe(on)).await?;
        }
        Ok(())
    }

    /// Changes the entry of the fifth link of a tenant.
    pub(crate) async fn break_fifth(&self, tenant: TenantId) -> anyhow::Result<()> {
        self.tamper(&format!(
            "UPDATE tenancy.audit_records SET outcome = 'refused' WHERE id =
                 (SELECT entry FROM tenancy.audit_links WHERE chain = '{tenant}' AND seq = 5)"
        ))
        .await
    }

    /// What the trail has of an action, as `actor credential outcome reason details`.
    pub(crate) async fn told(&self, action: &str) -> anyhow::Result<Vec<String>> {
        let mut admin = self.notes.database.admin().await?;
        let told = sqlx::query_scalar(
            "SELECT concat_ws(' ', r.actor_kind || coalesce(':' || r.actor_id, ''), r.credential, r.outcome, p.reason,
                 p.details::text)
             FROM tenancy.audit_records AS r LEFT JOIN tenancy.audit_particulars AS p ON p.entry = r.id
             WHERE r.action = $1 ORDER BY r.id",
        )
        .bind(action)
        .fetch_all(&mut admin)
        .await?;
        Ok(told)
    }
}

fn operator(name: &str, role: OperatorRole) -> Operator {
    let issuer = "https://staff.example";
    Operator::new(issuer, UserId::derive(issuer, name), name, [role])
}

pub(crate) fn entry(number: u64) -> AuditEntry {
    AuditEntry::new(SystemClock.now(), "note.share", Outcome::Allowed)
        .about("note", number)
        .reason(format!("reason {number}"))
}

/// Sends a signal to a process.
pub(crate) fn signal(child: &Child, name: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status()?;
    ensure!(sent.success(), "no signal was sent");
    Ok(())
}

/// A file with this text.
pub(crate) fn written(path: &PathBuf, text: &str) -> anyhow::Result<()> {
    fs::File::create(path)?.write_all(text.as_bytes())?;
    Ok(())
}
