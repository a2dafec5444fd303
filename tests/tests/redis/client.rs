//! The way to Redis.

use std::time::Duration;

use tenancy_redis::{RedisClient, RedisErrorKind};
use tenancy_tests::RedisServer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::{Instant, sleep},
};

use super::{LONG, patient};

/// Asks until it answers.
async fn comes_back(client: &RedisClient) -> anyhow::Result<()> {
    let deadline = Instant::now() + LONG;
    while let Err(error) = client.check().await {
        anyhow::ensure!(Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_ends_and_comes_back_answers_again() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let client = RedisClient::new(&redis.url())?;
    patient(&redis.url()).build()?.check().await?;
    comes_back(&client).await?;
    redis.stop();
    let deadline = Instant::now() + LONG;
    while !client.is_down() {
        let error = client.check().await.unwrap_err();
        assert_eq!(error.kind(), RedisErrorKind::Unavailable, "{error}");
        anyhow::ensure!(Instant::now() < deadline, "{error}");
    }
    redis.start_again().await?;
    comes_back(&client).await?;
    assert!(!client.is_down());
    Ok(())
}

#[tokio::test]
async fn a_server_that_falls_silent_is_not_waited_for() -> anyhow::Result<()> {
    let redis = RedisServer::start().await?;
    let client = RedisClient::new(&redis.url())?;
    comes_back(&client).await?;
    redis.pause()?;
    let deadline = Instant::now() + LONG;
    while !client.is_down() {
        let error = client.check().await.unwrap_err();
        assert_eq!(error.kind(), RedisErrorKind::Unavailable, "{error}");
        anyhow::ensure!(Instant::now() < deadline, "{error}");
    }
    redis.resume()?;
    comes_back(&client).await
}

#[tokio::test]
async fn a_wrong_password_is_named_at_start() -> anyhow::Result<()> {
    let redis = RedisServer::with("requirepass s3cret-of-the-server").await?;
    let right = redis.url().replace("//", "//:s3cret-of-the-server@");
    patient(&right).build()?.check().await?;
    for url in [redis.url(), redis.url().replace("//", "//:s3cret-of-mine@")] {
        let client = patient(&url).build()?;
        let error = client.check().await.unwrap_err();
        assert_eq!(error.kind(), RedisErrorKind::Refused, "{error}");
        assert!(!format!("{error} {error:?} {client:?}").contains("s3cret"));
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_named() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("redis://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = client.read(&mut [0; 512]).await;
                let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            });
        }
    });
    let error = patient(&url).build()?.check().await.unwrap_err();
    assert_eq!(error.kind(), RedisErrorKind::Unexpected, "{error}");
    Ok(())
}

#[test]
fn what_is_no_url_of_a_redis_is_named_without_its_password() {
    for url in [
        "",
        "127.0.0.1:6379",
        "http://u:s3cret@host",
        "redis://u:s3cret@host:port",
        "rediss://u:s3cret@host",
    ] {
        let error = RedisClient::new(url).unwrap_err().to_string();
        assert!(error.contains("URL"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let none: [&str; 0] = [];
    assert!(RedisClient::sentinel("orders", none).build().is_err());
    assert!(
        RedisClient::sentinel("", ["redis://127.0.0.1:26379"])
            .build()
            .is_err()
    );
    let no_time = RedisClient::builder("redis://127.0.0.1").answer_within(Duration::ZERO);
    assert!(no_time.build().unwrap_err().to_string().contains("above 0"));
}
