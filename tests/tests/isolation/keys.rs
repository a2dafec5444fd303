//! API keys in the database: the service's login finds one by its id, and sees, changes and counts
//! none besides.

use sqlx::Executor as _;
use tenancy_core::testing::{KeyStoreDirectly as _, StoreDirectly as _};
use tenancy_core::{
    Clock as _, KeyId, Membership, StoreErrorKind, SystemClock, SystemRole, TenantRecord,
    Timestamp, UserId,
    key::{ApiKey, Environment, KeyDigest, KeyDirectory as _},
};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};

async fn stored(notes: &Notes, tenant: &TenantRecord) -> anyhow::Result<ApiKey> {
    let digest = KeyDigest::new(1, [7; 32]);
    let (id, now) = (KeyId::new(), SystemClock.now());
    let mut key = ApiKey::new(id, tenant.id, UserId::new(), Environment::Live, digest, now);
    key.name = format!("a key of {}", tenant.slug);
    let creator = Membership::new(tenant.id, key.creator, SystemRole::Member.name());
    notes.directory.put_membership(&creator).await?;
    notes.directory.insert_key(&key).await?;
    Ok(key)
}

#[tokio::test]
async fn the_services_login_lists_and_changes_no_key() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let own = stored(notes, &notes.acme).await?;
        let other = stored(notes, &notes.globex).await?;
        assert_eq!(notes.count("tenancy.api_keys", &notes.globex).await?, 1);
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        for statement in [
            "SELECT * FROM tenancy.api_keys",
            "SELECT count(*) FROM tenancy.api_keys",
            "UPDATE tenancy.api_keys SET revoked_at = NULL",
            "UPDATE tenancy.api_keys SET digest = digest",
            "DELETE FROM tenancy.api_keys",
            "INSERT INTO tenancy.api_keys SELECT * FROM tenancy.find_api_key(gen_random_uuid())",
            "TRUNCATE tenancy.api_keys",
        ] {
            assert_eq!(
                sqlstate(db.execute(statement).await),
                "42501",
                "{statement}"
            );
        }
        // By its id, which the caller has shown, any key is found: whose it is comes after that.
        for key in [&own, &other] {
            let found = notes.directory.find_key(key.id).await?;
            assert_eq!(found.map(|found| found.tenant), Some(key.tenant));
        }
        assert_eq!(notes.directory.find_key(KeyId::new()).await?, None);
        // Noting a use changes nothing but the time of it.
        let later = SystemClock.now();
        notes
            .directory
            .record_last_used(&[(other.id, later)])
            .await?;
        let noted = notes.directory.find_key(other.id).await?;
        let mut wanted = other.clone();
        wanted.last_used_at = Some(later);
        assert_eq!(noted, Some(wanted));
        Ok(())
    })
    .await
}

/// A use is no change, and so drops nobody's caches.
#[tokio::test]
async fn only_changes_of_a_key_move_its_tenant_on() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let generation = async || {
            let sql = "SELECT generation FROM tenancy.generations WHERE tenant_id = $1";
            let mut admin = notes.database.admin().await?;
            let select = sqlx::query_scalar::<_, i64>(sql).bind(notes.acme.id.as_uuid());
            anyhow::Ok(select.fetch_one(&mut admin).await?)
        };
        let before = generation().await?;
        let key = stored(notes, &notes.acme).await?;
        let issued = generation().await?;
        assert_eq!(issued, before + 2, "its creator's membership, and the key");
        notes
            .directory
            .record_last_used(&[(key.id, SystemClock.now())])
            .await?;
        let new = KeyDigest::new(2, [8; 32]);
        assert!(
            notes
                .directory
                .replace_digest(key.id, key.verifier.digest().unwrap(), &new)
                .await?
        );
        assert_eq!(generation().await?, issued);
        notes
            .directory
            .revoke_tenant_keys(notes.acme.id, SystemClock.now())
            .await?;
        assert_eq!(generation().await?, issued + 1);
        Ok(())
    })
    .await
}

/// A time that no number of microseconds says could not be read, and would stay: uses go forward
/// only.
#[tokio::test]
async fn the_services_login_closes_no_key_by_the_time_of_its_use() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let key = stored(notes, &notes.globex).await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        for moment in ["infinity", "-infinity", "294276-01-01"] {
            let note = format!(
                "SELECT tenancy.note_key_uses(ARRAY['{}']::uuid[], ARRAY['{moment}']::timestamptz[])",
                key.id
            );
            db.execute(sqlx::AssertSqlSafe(note)).await?;
            let found = notes.directory.find_key(key.id).await?;
            assert_eq!(found.as_ref(), Some(&key), "{moment}");
        }
        let now = SystemClock.now();
        notes.directory.record_last_used(&[(key.id, now)]).await?;
        let found = notes.directory.find_key(key.id).await?;
        assert_eq!(found.and_then(|found| found.last_used_at), Some(now));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_end_that_can_not_be_stored_is_invalid_and_no_outage() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut key = stored(notes, &notes.acme).await?;
        key.id = KeyId::new();
        key.expires_at = Some(Timestamp::from_unix_micros(i64::MAX));
        let refused = notes.directory.insert_key(&key).await;
        assert_eq!(refused.map_err(|e| e.kind()), Err(StoreErrorKind::Invalid));
        assert_eq!(notes.directory.find_key(key.id).await?, None);
        Ok(())
    })
    .await
}
