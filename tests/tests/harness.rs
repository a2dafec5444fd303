//! Servers, templates and databases: real, separate, and gone when their test is.

mod support;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use sqlx::{Connection, Executor, PgConnection};
use support::is_external;
use tenancy_tests::{Error, Server, Template, TestDatabase, Version};

static NOTES: Template = Template::new("harness notes", |options| {
    Box::pin(async move {
        let mut admin = PgConnection::connect_with(&options).await?;
        admin
            .execute("CREATE TABLE note (id int PRIMARY KEY)")
            .await?;
        // Left open on purpose: the harness has to cope.
        std::mem::forget(admin);
        Ok(())
    })
});

async fn count(database: &TestDatabase) -> Result<i64> {
    let mut admin = database.admin().await?;
    Ok(sqlx::query_scalar("SELECT count(*) FROM note")
        .fetch_one(&mut admin)
        .await?)
}

#[tokio::test]
async fn databases_from_one_template_are_independent() -> Result<()> {
    for server in Server::all().await? {
        let one = server.database(&NOTES).await?;
        let other = server.database(&NOTES).await?;

        one.admin()
            .await?
            .execute("INSERT INTO note VALUES (1)")
            .await?;

        assert_eq!(count(&one).await?, 1);
        assert_eq!(count(&other).await?, 0);
        one.close().await?;
        other.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_template_is_built_once_however_many_ask() -> Result<()> {
    static BUILT: AtomicU32 = AtomicU32::new(0);
    static SLOW: Template = Template::new("harness slow", |_| {
        Box::pin(async {
            BUILT.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(())
        })
    });
    let server = Server::start(Version::Default).await?;

    let asked: Vec<_> = (0..8)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.database(&SLOW).await })
        })
        .collect();

    let mut names = Vec::new();
    for task in asked {
        let database = task.await??;
        names.push(database.name().to_owned());
        database.close().await?;
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 8);
    // None when the cluster of this launcher already had it from an earlier run of this binary.
    assert!(BUILT.load(Ordering::SeqCst) <= 1);
    Ok(())
}

#[tokio::test]
async fn a_template_that_fails_is_built_again() -> Result<()> {
    static TRIES: AtomicU32 = AtomicU32::new(0);
    static BROKEN: Template = Template::new("harness broken at first", |_| {
        Box::pin(async {
            ensure!(TRIES.fetch_add(1, Ordering::SeqCst) > 0, "not this time");
            Ok(())
        })
    });
    let server = Server::start(Version::Default).await?;

    match server.database(&BROKEN).await {
        Err(Error::Template { name, source, .. }) => {
            assert_eq!(
                (name, source.to_string().as_str()),
                (BROKEN_NAME, "not this time")
            );
        }
        // A second run in the same cluster finds what the first one built.
        other => drop(other?),
    }
    server.database(&BROKEN).await?.close().await?;
    Ok(())
}

const BROKEN_NAME: &str = "harness broken at first";

#[tokio::test]
async fn roles_connect_with_and_without_a_password() -> Result<()> {
    let database = Server::start(Version::Default)
        .await?
        .database(&Template::empty())
        .await?;
    let role = format!("{}_app", database.name());
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'");
    database
        .admin()
        .await?
        .execute(sqlx::AssertSqlSafe(create))
        .await?;

    let url = database.url_as(&role, Some("secret"));
    let mut connections = vec![PgConnection::connect(&url).await?];
    if !is_external() {
        connections.push(PgConnection::connect_with(&database.options_as(&role, None)).await?);
    }

    for connection in &mut connections {
        let (user, place): (String, String) =
            sqlx::query_as("SELECT current_user::text, current_database()::text")
                .fetch_one(connection)
                .await?;
        assert_eq!(
            (user.as_str(), place.as_str()),
            (role.as_str(), database.name())
        );
    }
    let drop_role = format!("DROP ROLE {role}");
    database
        .admin()
        .await?
        .execute(sqlx::AssertSqlSafe(drop_role))
        .await?;
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_database_goes_with_its_handle_even_if_somebody_is_connected() -> Result<()> {
    let server = Server::start(Version::Default).await?;
    let closed = server.database(&Template::empty()).await?;
    let dropped = server.database(&Template::empty()).await?;
    let _in_the_way = (closed.admin().await?, dropped.admin().await?);
    let names = vec![closed.name().to_owned(), dropped.name().to_owned()];

    closed.close().await?;
    drop(dropped);

    let mut admin = PgConnection::connect_with(&server.admin_options()).await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left: i64 =
            sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = ANY($1)")
                .bind(&names)
                .fetch_one(&mut admin)
                .await?;
        if left == 0 {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "{left} databases are still there"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_server_serves_many_runtimes() -> Result<()> {
    let run = || -> Result<String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let server = Server::start(Version::Default).await?;
            server.database(&Template::empty()).await?.close().await?;
            Ok(server.address())
        })
    };
    assert_eq!(run()?, run()?);
    Ok(())
}

#[tokio::test]
async fn the_cluster_does_not_run_as_root() -> Result<()> {
    if is_external() {
        return Ok(());
    }
    for server in Server::all().await? {
        let mut admin = PgConnection::connect_with(&server.admin_options()).await?;
        let data: String = sqlx::query_scalar("SHOW data_directory")
            .fetch_one(&mut admin)
            .await?;
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut admin)
            .await?;
        assert_ne!(fs::metadata(&data)?.uid(), 0);
        assert_eq!(fs::metadata(&data)?.mode() & 0o777, 0o700);
        if let Ok(process) = fs::metadata(format!("/proc/{pid}")) {
            assert_ne!(process.uid(), 0);
        }
    }
    Ok(())
}

#[tokio::test]
async fn postgres_18_is_what_it_says() -> Result<()> {
    let Some(server) = Server::start_or_skip(Version::V18).await? else {
        return Ok(());
    };
    let number = server.version_num().await?;
    assert!((180_000..190_000).contains(&number), "{number}");
    Ok(())
}
