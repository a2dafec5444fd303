//! The peer's address where the listener does not tell it.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, TcpListener, TcpStream},
};

use actix_web::{App, HttpServer, web};
use tenancy_actix::{PeerAddr, TenancyMiddleware, Tenant};

use crate::support::World;

async fn ip(tenant: Tenant) -> String {
    tenant
        .client_ip()
        .map_or_else(String::new, |ip| ip.to_string())
}

#[actix_web::test]
async fn an_address_that_the_connection_was_given_goes_before_the_sockets() {
    let world = World::new().await;
    let tenancy = world.tenancy.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = HttpServer::new(move || {
        App::new()
            .route("/ip", web::get().to(ip))
            .wrap(TenancyMiddleware::new(&tenancy))
    })
    .on_connect(|_, data| {
        data.insert(PeerAddr(IpAddr::from([10, 0, 0, 9])));
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);

    let request = world.request("acme", "/ip").to_http_request();
    let token = request.headers().get("authorization").unwrap();
    let token = token.to_str().unwrap().to_owned();
    let ask = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "GET /ip HTTP/1.1\r\nhost: x\r\nx-tenant: acme\r\nauthorization: {token}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = web::block(ask).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("10.0.0.9"),
        "{answer}"
    );
    handle.stop(false).await;
}
