//! Sessions of browsers, for both frameworks.

use std::collections::HashMap;

use actix_session::storage::SessionStore as ActixStore;
use actix_web::cookie::time;
use tenancy_redis::{RedisSessions, danger};
use tower_sessions::{
    SessionStore as TowerStore,
    cookie::time::OffsetDateTime,
    session::{Id, Record},
};

use super::World;

const HOUR: time::Duration = time::Duration::hours(1);

fn record() -> Record {
    let user = ("user".to_owned(), serde_json::json!("alice"));
    Record {
        id: Id::default(),
        data: HashMap::from([user]),
        expiry_date: OffsetDateTime::from_unix_timestamp(
            (OffsetDateTime::now_utc() + HOUR).unix_timestamp(),
        )
        .unwrap(),
    }
}

#[tokio::test]
async fn tower_sessions_are_kept_and_end() -> anyhow::Result<()> {
    let world = World::new().await?;
    let sessions = RedisSessions::new(&world.client);
    let mut first = record();
    TowerStore::create(&sessions, &mut first).await?;
    assert_eq!(
        TowerStore::load(&sessions, &first.id).await?,
        Some(first.clone())
    );
    // Another one that has the id already gets its own.
    let mut second = record();
    second.id = first.id;
    second.data.clear();
    TowerStore::create(&sessions, &mut second).await?;
    assert_ne!(second.id, first.id);
    first
        .data
        .insert("more".to_owned(), serde_json::json!([1, 2]));
    TowerStore::save(&sessions, &first).await?;
    assert_eq!(
        TowerStore::load(&sessions, &first.id).await?,
        Some(first.clone())
    );

    let kept = world.dump().await?;
    assert_eq!(kept.len(), 2);
    for (name, _, ends) in &kept {
        assert!(name.starts_with("tn:{s") && *ends);
        assert!(!name.contains(&first.id.to_string()));
    }
    TowerStore::delete(&sessions, &first.id).await?;
    // A request that had it loaded.
    TowerStore::save(&sessions, &first).await?;
    assert_eq!(TowerStore::load(&sessions, &first.id).await?, None);
    second.expiry_date = OffsetDateTime::now_utc() - HOUR;
    TowerStore::save(&sessions, &second).await?;
    assert_eq!(TowerStore::load(&sessions, &second.id).await?, None);
    Ok(())
}

#[tokio::test]
async fn actix_sessions_are_kept_and_end() -> anyhow::Result<()> {
    let world = World::new().await?;
    let sessions = RedisSessions::new(&world.client);
    let state = HashMap::from([("user".to_owned(), "\"alice\"".to_owned())]);
    let key = ActixStore::save(&sessions, state.clone(), &HOUR).await?;
    assert_eq!(
        ActixStore::load(&sessions, &key).await?,
        Some(state.clone())
    );
    ActixStore::update_ttl(&sessions, &key, &(2 * HOUR)).await?;
    let text = key.as_ref().to_owned();
    let key = ActixStore::update(&sessions, key, HashMap::new(), &HOUR).await?;
    assert_eq!(key.as_ref(), text);
    assert_eq!(
        ActixStore::load(&sessions, &key).await?,
        Some(HashMap::new())
    );
    ActixStore::delete(&sessions, &key).await?;
    let key = ActixStore::update(&sessions, key, state, &HOUR).await?;
    assert_eq!(ActixStore::load(&sessions, &key).await?, None);
    assert_eq!(world.dump().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn the_sessions_of_a_tenant_are_its_own_and_are_erased_with_it() -> anyhow::Result<()> {
    let world = World::new().await?;
    let (acme, globex) = (
        RedisSessions::of_tenant(&world.acme()),
        RedisSessions::of_tenant(&world.globex()),
    );
    let all = RedisSessions::new(&world.client);
    let mut session = record();
    TowerStore::create(&acme, &mut session).await?;
    assert!(TowerStore::load(&acme, &session.id).await?.is_some());
    for others in [&globex, &all] {
        assert_eq!(TowerStore::load(others, &session.id).await?, None);
        TowerStore::delete(others, &session.id).await?;
    }
    world.acme().flush().await?;
    assert!(TowerStore::load(&acme, &session.id).await?.is_some());
    let operators = tenancy_redis::OperatorRedis::new(&world.client);
    let operator = tenancy_core::UserId::new();
    let tenant = world.acme.tenant_id();
    danger::purge(&world.engine, &operators, operator, tenant, "a test").await?;
    assert_eq!(TowerStore::load(&acme, &session.id).await?, None);
    Ok(())
}
