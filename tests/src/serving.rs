//! Services on ports of their own, over real HTTP: axum's server and actix-web's.

use std::{io, net::SocketAddr, time::Duration};

use actix_web::dev::{Server, ServerHandle};
use anyhow::Context as _;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// A web framework that the library supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "tests match on each")]
pub enum Framework {
    /// axum, and with it every tower service.
    Axum,
    /// actix-web.
    Actix,
}

impl Framework {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Axum, Self::Actix];
}

/// A service that listens on loopback, on a port that was free.
#[derive(Debug)]
pub struct Serving {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Stop,
}

#[derive(Debug)]
enum Stop {
    Axum {
        shutdown: oneshot::Sender<()>,
        server: JoinHandle<io::Result<()>>,
    },
    Actix {
        handle: ServerHandle,
        server: std::thread::JoinHandle<io::Result<()>>,
    },
}

impl Serving {
    /// Serves an axum router, with the peer's address.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn axum(app: axum::Router) -> anyhow::Result<Self> {
        Self::axum_service(app.into_make_service_with_connect_info::<SocketAddr>()).await
    }

    /// Serves what makes a service per connection.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn axum_service<M, S>(make: M) -> anyhow::Result<Self>
    where
        M: for<'a> tower::Service<
                axum::serve::IncomingStream<'a, TcpListener>,
                Error = std::convert::Infallible,
                Response = S,
                Future: Send,
            > + Send
            + 'static,
        S: tower::Service<
                axum::extract::Request,
                Response = axum::response::Response,
                Error = std::convert::Infallible,
                Future: Send,
            > + Clone
            + Send
            + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (shutdown, asked) = oneshot::channel();
        let server = axum::serve(listener, make).with_graceful_shutdown(async move {
            let _ = asked.await;
        });
        let server = tokio::spawn(async move { server.await });
        Ok(Self {
            address,
            stop: Stop::Axum { shutdown, server },
        })
    }

    /// Serves with actix-web, on a thread of its own: `start` makes the server of the listener.
    ///
    /// # Errors
    /// What the operating system or `start` says.
    pub async fn actix(
        start: impl FnOnce(std::net::TcpListener) -> io::Result<Server> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (started, starting) = oneshot::channel();
        let server = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = start(listener)?;
                let _ = started.send(server.handle());
                server.await
            })
        });
        match starting.await {
            Ok(handle) => Ok(Self {
                address,
                stop: Stop::Actix { handle, server },
            }),
            Err(_) => {
                let ended = server.join();
                anyhow::bail!("the server did not start: {ended:?}")
            }
        }
    }

    /// Accepts no more, and waits for the requests that were accepted.
    ///
    /// # Errors
    /// What the server ended with; that it has not ended within 30 seconds.
    pub async fn stop(self) -> anyhow::Result<()> {
        let ended = async {
            match self.stop {
                Stop::Axum { shutdown, server } => {
                    let _ = shutdown.send(());
                    server.await?
                }
                Stop::Actix { handle, server } => {
                    handle.stop(true).await;
                    let joined = tokio::task::spawn_blocking(move || server.join()).await?;
                    joined.unwrap_or_else(|_| Err(io::Error::other("the server panicked")))
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), ended).await;
        Ok(waited.context("the server does not end")??)
    }
}
