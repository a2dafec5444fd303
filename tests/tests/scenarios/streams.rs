//! Websockets and event streams: the context survives the upgrade, an idle stream holds no
//! connection, and a stream ends when its tenant is suspended – and no other.

use std::{convert::Infallible, time::Duration};

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, Stream, StreamExt as _, stream};
use tenancy_core::TenantContext;
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{Framework, Server, Serving, Version};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _, protocol::frame::coding::CloseCode},
};

use crate::{
    logs, play,
    scenario::{Credential, Shape, get},
    wire,
    world::World,
};

/// What both services send as `GET /app/events`: who the tenant is, and at last why it ended.
pub(crate) fn events(
    context: &TenantContext,
) -> impl Stream<Item = Result<Vec<u8>, Infallible>> + use<> {
    let hello = format!("data: {}\n\n", context.record().slug);
    let mut watch = context.watch();
    let end = async move {
        let problem = watch.ended().await.problem().to_json();
        format!("event: end\ndata: {problem}\n\n")
    };
    let hello = stream::once(std::future::ready(hello));
    hello
        .chain(stream::once(end))
        .map(|event| Ok(event.into_bytes()))
}

type Socket = WebSocketStream<TcpStream>;

async fn socket(
    world: &World,
    service: &Serving,
    host: &str,
    user: &'static str,
) -> anyhow::Result<Socket> {
    let mut request = format!("ws://{host}/app/socket").into_client_request()?;
    let [(_, authorization)] = &*world.credential(Credential::Of(user))? else {
        bail!("one credential")
    };
    request
        .headers_mut()
        .insert("authorization", authorization.parse()?);
    let stream = TcpStream::connect(service.address).await?;
    Ok(client_async(request, stream).await?.0)
}

/// Sends a message and waits for the answer.
async fn asked(socket: &mut Socket) -> anyhow::Result<Message> {
    socket.send("count".into()).await?;
    said(socket).await
}

async fn said(socket: &mut Socket) -> anyhow::Result<Message> {
    let said = timeout(Duration::from_secs(20), socket.next()).await?;
    Ok(said.context("the socket is closed")??)
}

/// Reads from a stream until it has said this.
async fn until(stream: &mut TcpStream, text: &str) -> anyhow::Result<String> {
    let mut read = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&read).contains(text) {
            ensure!(
                stream.read_buf(&mut read).await? > 0,
                "closed before `{text}`: {read:?}"
            );
        }
        anyhow::Ok(())
    };
    timeout(Duration::from_secs(20), reading).await??;
    Ok(String::from_utf8(read)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_with_their_tenant_and_hold_no_connection_while_idle() -> anyhow::Result<()> {
    let _playing = logs::playing().await;
    let server = Server::start(Version::Default).await?;
    for framework in Framework::ALL {
        let mut world = World::start(&server).await?;
        world.reset().await?;
        // One connection: any stream that kept it would keep all others waiting.
        let pool = world
            .notes
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;
        let service = world.serve_with(framework, Shape::Areas, pool).await?;
        play_streams(&world, &service)
            .await
            .with_context(|| format!("{framework:?}"))?;
        service.stop().await?;
        world.close().await?;
    }
    Ok(())
}

async fn play_streams(world: &World, service: &Serving) -> anyhow::Result<()> {
    let (acme, globex) = ("acme.notes.example", "globex.notes.example");
    let mut acmes = Vec::new();
    for _ in 0..5 {
        acmes.push(socket(world, service, acme, "alice").await?);
    }
    let mut globexs = socket(world, service, globex, "bob").await?;
    let mut events = Vec::new();
    for (host, user, slug) in [(acme, "alice", "acme"), (globex, "bob", "globex")] {
        let request = play::outgoing(world, &get("/app/events").at(host).by(user))?;
        let mut stream = wire::Sender::send(service.address, &request).await?.stream;
        let head = until(&mut stream, &format!("data: {slug}")).await?;
        ensure!(head.contains("text/event-stream"), "{head}");
        events.push(stream);
    }
    // The context works after the upgrade, each tenant's for itself.
    for socket in &mut acmes {
        ensure!(asked(socket).await? == Message::text("3"));
    }
    ensure!(asked(&mut globexs).await? == Message::text("5"));
    // While all are open, another request gets the only connection.
    let count = play::outgoing(world, &get("/app/notes").at(acme).by("alice"))?;
    let answer = wire::send(service.address, &count)
        .await?
        .context("an answer")?;
    ensure!(answer.body == "3", "{answer:?}");

    world
        .engines
        .tenancy
        .admin(tenancy_core::testing::service())
        .suspend(world.notes.acme.id)
        .await?;
    for socket in &mut acmes {
        let Message::Close(Some(close)) = said(socket).await? else {
            bail!("a suspended tenant's socket goes on")
        };
        ensure!(close.code == CloseCode::Policy, "{close:?}");
        ensure!(
            close.reason == "urn:tenancy:problem:tenant-suspended",
            "{close:?}"
        );
    }
    let end = until(&mut events[0], "\r\n0\r\n").await?;
    ensure!(
        end.contains("event: end") && end.contains("tenant-suspended"),
        "{end}"
    );
    // The other tenant's go on.
    ensure!(asked(&mut globexs).await? == Message::text("5"));
    let mut more = [0; 1];
    let silent = timeout(Duration::from_millis(50), events[1].read(&mut more)).await;
    ensure!(
        silent.is_err(),
        "the other tenant's stream has said something or ended"
    );
    // A server that is asked to stop waits for streams; so this one ends as well.
    world
        .engines
        .tenancy
        .admin(tenancy_core::testing::service())
        .suspend(world.notes.globex.id)
        .await?;
    until(&mut events[1], "event: end").await?;
    ensure!(matches!(said(&mut globexs).await?, Message::Close(Some(_))));
    Ok(())
}
