//! Pools and databases that do not go together say so at start.

use std::{sync::Arc, time::Duration};

use tenancy_core::ManualClock;
use tenancy_sqlx::{
    ErrorKind, PgDirectory, RegistryPool, SealKey, StartError, StartErrorKind, TenantPoolOptions,
    schema,
};
use tenancy_tests::{
    Server,
    notes::{Notes, PASSWORD, on_every_server_sealed, seal_key},
};

use crate::in_both_ways;

/// What every kind of pool says, with and without a key.
async fn refusals(notes: &Notes, key: Option<SealKey>) -> Vec<StartError> {
    let registry = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let options = TenantPoolOptions::new();
    let options = match &key {
        Some(key) => options.seal_key(key.clone()),
        None => options,
    };
    let app = notes.app_options();
    let pool = options
        .connect_with(app.clone(), &notes.tenancy)
        .await
        .map(drop);
    let (directory, registry) = match &key {
        Some(key) => (
            PgDirectory::connect_sealed(app, 1, key).await.map(drop),
            RegistryPool::connect_sealed(registry, key).await.map(drop),
        ),
        None => (
            PgDirectory::connect_with(app, 1).await.map(drop),
            RegistryPool::connect_with(registry).await.map(drop),
        ),
    };
    [pool, directory, registry]
        .into_iter()
        .filter_map(Result::err)
        .collect()
}

#[tokio::test]
async fn a_pool_without_a_key_does_not_start_on_a_sealed_database() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let refused = refusals(notes, None).await;
        assert_eq!(refused.len(), 3);
        let mends = [
            "`TenantPoolOptions::seal_key` with the `SealKey`",
            "`PgDirectory::connect_sealed` with the `SealKey`",
            "`RegistryPool::connect_sealed` with the `SealKey`",
        ];
        for (error, mend) in refused.iter().zip(mends) {
            assert_eq!(error.kind(), StartErrorKind::Seal);
            assert!(error.to_string().contains(mend), "{error}");
        }
        assert!(refusals(notes, Some(seal_key()?)).await.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pool_with_a_key_does_not_start_where_nothing_is_sealed() -> anyhow::Result<()> {
    on_every_server_sealed(None, async |notes| {
        let refused = refusals(notes, Some(seal_key()?)).await;
        assert_eq!(refused.len(), 3);
        for error in refused {
            assert_eq!(error.kind(), StartErrorKind::Seal);
            assert!(
                error.to_string().contains("`schema::seal_sessions`"),
                "{error}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pool_with_another_key_does_not_start() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        for (key, said) in [
            (SealKey::new(1, &[7; 32])?, "has other bytes there"),
            (SealKey::new(2, &[7; 32])?, "retired or never added"),
        ] {
            let refused = refusals(notes, Some(key)).await;
            assert_eq!(refused.len(), 3);
            for error in refused {
                assert_eq!(error.kind(), StartErrorKind::Seal);
                assert!(error.to_string().contains(said), "{error}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn sessions_that_are_not_reset_can_not_be_sealed() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let options = TenantPoolOptions::new().reset_session(false);
        let refused = notes.pool(options).await.unwrap_err().to_string();
        assert!(refused.contains("have to be reset"), "{refused}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn sealing_again_and_undoing_it_change_nothing_else() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut admin = notes.database.admin().await?;
        let way = schema::seal_sessions(&mut admin, &seal_key()?, notes.seal).await?;
        assert_eq!(Some(way), notes.seal);
        // A superuser may grant the parameter, and so it is the way.
        let way = schema::seal_sessions(&mut admin, &seal_key()?, None).await?;
        assert_eq!(way, schema::SealWay::Parameter);
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        pool.ready().await?;

        schema::unseal_sessions(&mut admin).await?;
        schema::unseal_sessions(&mut admin).await?;
        let findings = schema::findings(&mut admin, "tenancy_app").await?;
        assert!(findings.is_empty(), "{findings:?}");
        let pool = TenantPoolOptions::new()
            .connect_with(notes.app_options(), &notes.tenancy)
            .await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let rows = sqlx::query("SELECT FROM notes").fetch_all(&db);
        assert_eq!(rows.await?.len(), 3);
        Ok(())
    })
    .await
}

/// A pool that runs on while its database is sealed in the other way opens its sessions anew.
#[tokio::test]
async fn the_way_can_be_changed_under_a_running_pool() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(2))
            .await?;
        let mut admin = notes.database.admin().await?;
        for way in [
            schema::SealWay::Row,
            schema::SealWay::Parameter,
            schema::SealWay::Row,
        ] {
            for (tenant, own) in [(&notes.acme, 3), (&notes.globex, 5)] {
                let db = pool.tenant(&notes.context(tenant))?;
                assert_eq!(
                    sqlx::query("SELECT FROM notes").fetch_all(&db).await?.len(),
                    own
                );
            }
            schema::seal_sessions(&mut admin, &seal_key()?, Some(way)).await?;
        }
        Ok(())
    })
    .await
}

/// Who seals while a service without a key runs is told by its readiness, and so is who unseals under
/// one that has a key, or retires its key.
#[tokio::test]
async fn a_pool_whose_seal_no_longer_fits_is_not_ready() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let clock = Arc::new(ManualClock::now_frozen());
        let notes = Notes::start_sealed(&server, None, clock.clone(), |builder| builder).await?;
        let mut admin = notes.database.admin().await?;
        let one = || TenantPoolOptions::new().max_connections(1);
        let open = one()
            .connect_with(notes.app_options(), &notes.tenancy)
            .await?;
        open.ready().await?;

        schema::seal_sessions(&mut admin, &seal_key()?, None).await?;
        open.ready().await?;
        clock.advance(Duration::from_secs(60));
        let not_ready = open.ready().await.unwrap_err();
        assert_eq!(not_ready.kind(), ErrorKind::Seal, "{not_ready}");
        let mend = "`TenantPoolOptions::seal_key` with the `SealKey`";
        assert!(not_ready.to_string().contains(mend), "{not_ready}");

        let sealed = one().seal_key(seal_key()?);
        let sealed = sealed
            .connect_with(notes.app_options(), &notes.tenancy)
            .await?;
        sealed.ready().await?;
        schema::unseal_sessions(&mut admin).await?;
        clock.advance(Duration::from_secs(60));
        open.ready().await?;
        let not_ready = sealed.ready().await.unwrap_err();
        assert_eq!(not_ready.kind(), ErrorKind::Seal, "{not_ready}");

        schema::seal_sessions(&mut admin, &SealKey::new(2, &[7; 32])?, None).await?;
        clock.advance(Duration::from_secs(60));
        sealed.ready().await?;
        schema::retire_seal_key(&mut admin, 1).await?;
        clock.advance(Duration::from_secs(60));
        let not_ready = sealed.ready().await.unwrap_err();
        assert_eq!(not_ready.kind(), ErrorKind::Seal, "{not_ready}");
        assert!(not_ready.to_string().contains("seal key 1"), "{not_ready}");
        assert!(
            not_ready.to_string().contains("add_seal_key"),
            "{not_ready}"
        );
        // What a request says, for the log.
        let refused = sealed.begin(&notes.context(&notes.acme)).await.map(drop);
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("add its own with `schema::add_seal_key`"),
            "{refused}"
        );

        let logged = tenancy_tests::logwatch::ours_since(0);
        let logged = logged
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        assert!(logged.contains("the service is not ready"), "{logged}");
        for pool in [open, sealed] {
            pool.close().await;
        }
        notes.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_hinders_sealing_says_how_to_mend_it() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut app = notes.app().await?;
        let refused = schema::add_seal_key(&mut app, &seal_key()?)
            .await
            .unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("database's administrator"), "{refused}");
        assert!(!refused.contains(" at line "), "{refused}");

        let mut admin = notes.database.admin().await?;
        let other = SealKey::new(1, &[7; 32])?;
        let refused = schema::add_seal_key(&mut admin, &other).await.unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("Give the new key a number of its own"),
            "{refused}"
        );
        Ok(())
    })
    .await
}
