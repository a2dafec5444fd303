//! Revoking many keys while one is rotated, and its successor too: each step of the race held still.

use sqlx::Executor as _;
use tenancy_core::testing::{KeyStoreDirectly as _, StoreDirectly as _};
use tenancy_core::{
    Clock as _, KeyId, Membership, SystemClock, SystemRole, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyDirectory as _, KeyRotation},
};
use tenancy_tests::notes::on_every_server;

use super::held::{open, waited_for};

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
        let (mut held, pid) = open(notes, hold).await?;
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
        let (mut rotating, pid) = open(notes, again).await?;
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
