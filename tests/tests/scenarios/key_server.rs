//! A server at which issuers describe themselves and publish their keys, over real HTTP, and which
//! stalls, lies, dies and comes back when it is told to.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};

/// What a path is answered with.
#[derive(Clone)]
pub(crate) enum Reply {
    /// 200 and this.
    Body(String),
    /// 500 and this.
    Failure(String),
    /// A redirect to this address.
    Redirect(String),
    /// Nothing, however long one waits.
    Silence,
}

#[derive(Default)]
struct Paths {
    replies: BTreeMap<String, Reply>,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Paths>>;

/// The server; its address stays the same through death and return.
pub(crate) struct KeyServer {
    address: SocketAddr,
    paths: Shared,
    life: Life,
}

enum Life {
    Serving(JoinHandle<io::Result<()>>),
    /// Nobody listens, and nobody else gets the port.
    Dead(TcpSocket),
    Ended,
}

impl KeyServer {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let paths = Shared::default();
        let life = serve(listener, &paths);
        Ok(Self {
            address,
            paths,
            life,
        })
    }

    /// The name of an issuer that is here, which is the address of its description.
    pub(crate) fn issuer(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// Has an issuer describe itself and publish these keys.
    pub(crate) fn publishes(&self, name: &str, keys: &[Value]) {
        let description = json!({
            "issuer": self.issuer(name),
            "jwks_uri": format!("{}/keys", self.issuer(name)),
        });
        let at = format!("{name}/.well-known/openid-configuration");
        self.replies(&at, Reply::Body(description.to_string()));
        let set = json!({ "keys": keys }).to_string();
        self.replies(&format!("{name}/keys"), Reply::Body(set));
    }

    /// Answers a path so, from now on.
    pub(crate) fn replies(&self, path: &str, reply: Reply) {
        let path = format!("/{path}");
        self.paths().replies.insert(path, reply);
    }

    /// How often anything below this path has been asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let path = format!("/{path}");
        let paths = self.paths();
        let asked = paths.asked.iter();
        asked.filter(|asked| asked.starts_with(&path)).count()
    }

    fn paths(&self) -> MutexGuard<'_, Paths> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses every connection, until it [comes back](Self::comes_back).
    pub(crate) async fn dies(&mut self) -> anyhow::Result<()> {
        if let Life::Serving(server) = std::mem::replace(&mut self.life, Life::Ended) {
            server.abort();
            let _ = server.await;
        }
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        self.life = Life::Dead(socket);
        Ok(())
    }

    pub(crate) fn comes_back(&mut self) -> anyhow::Result<()> {
        match std::mem::replace(&mut self.life, Life::Ended) {
            Life::Dead(socket) => self.life = serve(socket.listen(64)?, &self.paths),
            _ => anyhow::bail!("only who has died comes back"),
        }
        Ok(())
    }

    /// Waits until something below this path has been asked for more often than before.
    pub(crate) async fn waits_for(&self, path: &str, before: usize) -> anyhow::Result<()> {
        let asked = async {
            while self.asked(path) <= before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), asked).await;
        waited.with_context(|| format!("`{path}` is not asked for"))
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        if let Life::Serving(server) = &self.life {
            server.abort();
        }
    }
}

fn serve(listener: TcpListener, paths: &Shared) -> Life {
    let app = Router::new().fallback(reply).with_state(Arc::clone(paths));
    Life::Serving(tokio::spawn(
        async move { axum::serve(listener, app).await },
    ))
}

async fn reply(State(paths): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let reply = {
        let mut paths = paths.lock().unwrap_or_else(PoisonError::into_inner);
        paths.asked.push(path.clone());
        paths.replies.get(&path).cloned()
    };
    let json = [(header::CONTENT_TYPE, "application/json")];
    match reply {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Reply::Body(body)) => (json, body).into_response(),
        Some(Reply::Failure(body)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, json, body).into_response()
        }
        Some(Reply::Redirect(to)) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Some(Reply::Silence) => std::future::pending().await,
    }
}
