//! Revoking many keys while one is rotated, and its successor too: each step of the race held still.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tenancy_core::testing::{KeyStoreDirectly as _, StoreDirectly as _};
use tenancy_core::{
    Clock as _, KeyId, Membership, SystemClock, SystemRole, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyDirectory as _, KeyRotation},
};
use tenancy_tests::notes::{Notes, on_every_server};

async fn begun(notes: &Notes, sql: String) -> anyhow::Result<(PgConnection, i32)> {
    let mut admin = notes.database.admin().await?;
    let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
    let pid = pid.fetch_one(&mut admin).await?;
    admin
        .execute(AssertSqlSafe(format!("BEGIN; {sql}")))
        .await?;
    Ok((admin, pid))
}

/// Waits until somebody waits for this connection.
async fn waited_for(notes: &Notes, pid: i32) -> anyhow::Result<()> {
    let mut admin = notes.database.admin().await?;
    let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity AS a
                   WHERE $1 = ANY (pg_blocking_pids(a.pid)))";
    let waiting = async {
        while !sqlx::query_scalar(sql)
            .bind(pid)
            .fetch_one(&mut admin)
            .await?
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await?
}

#[tokio::test]
async fn a_successors_successor_does_not_escape_either() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (creator, tenant, now) = (UserId::new(), notes.acme.id, SystemClock.now());
        let member = Membership::new(tenant, creator, SystemRole::Member.name());
        notes.directory.put_membership(&member).await?;
        let digest = KeyDigest::new(1, [7; 32]);
        let [first, old, new, newest] = std::array::from_fn(|_| KeyId::new());
        for id in [first, old] {
            let live = Environment::Live;
            let key = ApiKey::new(id, tenant, creator, live, digest.clone(), now);
            notes.directory.insert_key(&key).await?;
        }
        let hold = format!("SELECT FROM tenancy.api_keys WHERE id = '{first}' FOR UPDATE");
        let (mut held, pid) = begun(notes, hold).await?;
        let directory = notes.directory.clone();
        let revoking =
            tokio::spawn(async move { directory.revoke_creator_keys(creator, now).await });
        waited_for(notes, pid).await?;
        // It has begun, and does not see what comes now.
        let rotation = KeyRotation::new(old, new, digest, now, now);
        notes.directory.rotate_key(tenant, &rotation).await?;
        let again = format!(
            "CREATE TEMPORARY TABLE t ON COMMIT DROP AS
                 SELECT * FROM tenancy.api_keys WHERE id = '{new}' FOR UPDATE;
             UPDATE t SET id = '{newest}'; INSERT INTO tenancy.api_keys SELECT * FROM t;
             UPDATE tenancy.api_keys SET successor = '{newest}' WHERE id = '{new}'"
        );
        let (mut rotating, pid) = begun(notes, again).await?;
        held.execute("ROLLBACK").await?;
        waited_for(notes, pid).await?;
        rotating.execute("COMMIT").await?;
        assert_eq!(revoking.await??, [(tenant, 4)]);
        for id in [first, old, new, newest] {
            let key = notes.directory.find_key(id).await?;
            assert_eq!(key.and_then(|key| key.revoked_at), Some(now), "{id}");
        }
        Ok(())
    })
    .await
}
