//! What a caller is told when a handler has no answer from Redis: `?` makes it, in both frameworks.

use actix_web::ResponseError as _;
use axum::response::IntoResponse as _;
use tenancy_core::RefusalKind;
use tenancy_redis::{RedisClient, RedisErrorKind, TenantRedis};
use tenancy_tests::RedisServer;

use super::{World, patient};

/// An application's own errors, by the macro of each adapter.
#[derive(Debug)]
enum OnAxum {
    Tenancy(tenancy_axum::Error),
}

#[derive(Debug)]
enum OnActix {
    Tenancy(tenancy_actix::Error),
}

tenancy_axum::convert_errors!(OnAxum::Tenancy(tenancy_axum::Error));
tenancy_actix::convert_errors!(OnActix::Tenancy(tenancy_actix::Error));

/// What a handler does that needs Redis.
async fn on_axum(world: &World, redis: &TenantRedis) -> Result<i64, OnAxum> {
    Ok(redis.tenant(&world.acme)?.add("visits", 1).await?)
}

async fn on_actix(world: &World, redis: &TenantRedis) -> Result<i64, OnActix> {
    Ok(redis.tenant(&world.acme)?.add("visits", 1).await?)
}

/// The status and the body that both frameworks send.
async fn answered(world: &World, client: &RedisClient) -> anyhow::Result<(u16, String)> {
    let redis = TenantRedis::new(client, &world.engine);
    let OnAxum::Tenancy(axum) = on_axum(world, &redis).await.unwrap_err();
    let OnActix::Tenancy(actix) = on_actix(world, &redis).await.unwrap_err();
    assert_eq!(axum.kind(), actix.kind());
    let status = actix.error_response().status().as_u16();
    let response = axum.into_response();
    assert_eq!(response.status().as_u16(), status);
    let body = axum::body::to_bytes(response.into_body(), 10_000).await?;
    let body = String::from_utf8(body.to_vec())?;
    let of_actix = actix.error_response().into_body();
    let of_actix = actix_web::body::to_bytes(of_actix).await;
    let of_actix = of_actix.map_err(|error| anyhow::anyhow!("{error}"))?;
    assert_eq!(body.as_bytes(), &*of_actix);
    Ok((status, body))
}

#[tokio::test]
async fn a_redis_that_is_away_is_503_and_one_that_refuses_500() -> anyhow::Result<()> {
    let world = World::new().await?;
    assert_eq!(world.acme().add("visits", 1).await?, 1);
    let wrong = world.server.url().replace("//", "//app:s3cret@");
    let (status, body) = answered(&world, &patient(&wrong).build()?).await?;
    assert_eq!(status, 500);
    // One that was stopped.
    let gone = RedisServer::start().await?;
    let client = patient(&gone.url()).build()?;
    gone.stop();
    let (away, of_away) = answered(&world, &client).await?;
    assert_eq!(away, 503);
    for body in [body, of_away] {
        let said = body.to_lowercase();
        for text in ["redis", "s3cret", "127.0.0.1", "visits"] {
            assert!(!said.contains(text), "{body}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_was_not_asked_is_the_services_fault() -> anyhow::Result<()> {
    let world = World::new().await?;
    let error = world.acme().get([b'x'; 5_000]).await.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Invalid);
    assert_eq!(error.refusal().kind(), RefusalKind::Internal);
    let other = World::new().await?;
    let error = world.redis.tenant(&other.acme).unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::WrongEngine);
    assert_eq!(error.refusal().kind(), RefusalKind::Misconfigured);
    Ok(())
}
