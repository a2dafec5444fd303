//! A real server on a real socket: what hyper and axum put into a request arrives.

use std::net::{Ipv4Addr, SocketAddr};

use axum::{Router, routing::get as on_get};
use tenancy_axum::TenancyLayer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{World, slug, token};

async fn exchange(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("{head}connection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn host_credential_and_peer_arrive() {
    let world = World::new().await;
    let app = Router::new()
        .route("/notes", on_get(slug))
        .layer(TenancyLayer::new(&world.tenancy));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, service).await });

    let known = format!(
        "GET /notes HTTP/1.1\r\nhost: acme.example.com\r\nauthorization: Bearer {}\r\n",
        token(world.member)
    );
    let answer = exchange(address, &known).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("acme"),
        "{answer}"
    );

    let answer = exchange(
        address,
        "HEAD /notes HTTP/1.1\r\nhost: acme.example.com\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\n") && answer.contains("content-length: "),
        "{answer}"
    );
    assert!(!answer.contains("content-length: 0"), "{answer}");

    let entries = world.audit.entries();
    assert_eq!(entries[0].ip, Some(Ipv4Addr::LOCALHOST.into()));
    server.abort();
}
