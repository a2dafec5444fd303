//! Keeps a server that is not ours free of databases that nobody uses any more.
//!
//! Every database made on such a server carries a comment that says for whom. The next run drops
//! those whose launcher has ended.

use std::{fs, process::Command};

use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};

use super::{Error, Launcher, Server, database::now, server::execute};

pub(super) const TEST_PREFIX: &str = "tenancy_test_";
pub(super) const TEMPLATE_PREFIX: &str = "tenancy_template_";

/// The launcher of another machine cannot be looked at, so its databases go after this long.
const FOREIGN_SECONDS: u64 = 24 * 60 * 60;

#[derive(Debug, Serialize, Deserialize)]
struct Label {
    host: String,
    launcher: Launcher,
    created: u64,
}

impl Label {
    fn is_stale(&self, host: &str, now: u64) -> bool {
        if self.host == host {
            return !self.launcher.is_alive();
        }
        now.saturating_sub(self.created) > FOREIGN_SECONDS
    }
}

/// Says in a comment for whom a database was made. Throw-away clusters do not need it.
pub(super) async fn label(
    server: &Server,
    admin: &mut PgConnection,
    database: &str,
) -> Result<(), Error> {
    if !server.outlives_tests() {
        return Ok(());
    }
    let label = Label {
        host: host(),
        launcher: server.launcher().clone(),
        created: now(),
    };
    let text = serde_json::to_string(&label)
        .unwrap_or_default()
        .replace('\'', "''");
    execute(
        admin,
        format!(
            "COMMENT ON DATABASE {database} IS E'{}'",
            text.replace('\\', "\\\\")
        ),
    )
    .await
    .map_err(Error::sql(format!("cannot label {database}")))
}

/// Drops what earlier runs left.
pub(super) async fn reap(admin: &mut PgConnection) -> Result<(), Error> {
    let labelled: Vec<(String, String)> = sqlx::query_as(
        "SELECT datname::text, shobj_description(oid, 'pg_database') FROM pg_database
         WHERE (starts_with(datname, $1) OR starts_with(datname, $2))
           AND shobj_description(oid, 'pg_database') IS NOT NULL",
    )
    .bind(TEST_PREFIX)
    .bind(TEMPLATE_PREFIX)
    .fetch_all(&mut *admin)
    .await
    .map_err(Error::sql("cannot look for leftover databases"))?;

    let host = host();
    for (database, text) in labelled {
        let stale =
            serde_json::from_str(&text).is_ok_and(|label: Label| label.is_stale(&host, now()));
        // The name is pasted into SQL; only ours consist of these characters.
        let plain = database
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if stale && plain {
            // Another run may be reaping the same one; there is always a next time.
            let _ = execute(
                admin,
                format!("ALTER DATABASE {database} IS_TEMPLATE false"),
            )
            .await;
            let _ = execute(admin, drop_sql(&database)).await;
        }
    }
    Ok(())
}

pub(super) async fn drop_database(server: &Server, database: &str) -> Result<(), Error> {
    let mut admin = server.connect().await?;
    let dropped = execute(&mut admin, drop_sql(database)).await;
    let _ = admin.close().await;
    dropped.map_err(Error::sql(format!("cannot drop {database}")))
}

fn drop_sql(database: &str) -> String {
    format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")
}

/// Process ids mean something within one boot of one machine or container.
fn host() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = fs::read_link("/proc/self/ns/pid");
    if let (Ok(boot), Ok(namespace)) = (boot, namespace) {
        return format!("{}/{}", boot.trim(), namespace.display());
    }
    let name = Command::new("hostname")
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    String::from_utf8_lossy(&name).trim().to_owned()
}
