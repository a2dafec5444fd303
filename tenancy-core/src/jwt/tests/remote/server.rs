//! A server on this machine that answers as a test says, with or without TLS.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::AbortHandle,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::{super::super::JwksHttpClient, *};

/// What a path is answered with.
#[derive(Clone)]
pub(super) enum Answer {
    /// A status line, further header lines and a body of that length.
    Whole(&'static str, String),
    /// A body that never ends.
    Endless,
    /// A header and then one byte per 50 ms.
    Drip,
    /// Nothing.
    Silence,
}

type Answers = Arc<Mutex<HashMap<String, Answer>>>;
type Asked = Arc<Mutex<Vec<String>>>;

/// A server that answers as the test says; it ends with the value.
pub(super) struct Server {
    pub(super) at: SocketAddr,
    scheme: &'static str,
    answers: Answers,
    asked: Asked,
    task: AbortHandle,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    pub(super) async fn start_at(at: SocketAddr) -> Self {
        Self::start_with(at, None).await
    }

    /// With TLS, as this configuration has it.
    pub(super) async fn start_tls(tls: ServerConfig) -> Self {
        let tls = TlsAcceptor::from(Arc::new(tls));
        Self::start_with((Ipv4Addr::LOCALHOST, 0).into(), Some(tls)).await
    }

    async fn start_with(at: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let answers = Answers::default();
        let asked = Asked::default();
        let (routes, log) = (Arc::clone(&answers), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (routes, log, tls) = (Arc::clone(&routes), Arc::clone(&log), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => reply(stream, &routes, &log).await,
                        Some(tls) => {
                            let stream = tls.accept(stream).await.ok()?;
                            reply(stream, &routes, &log).await
                        }
                    }
                });
            }
        });
        let task = task.abort_handle();
        Self {
            at,
            scheme,
            answers,
            asked,
            task,
        }
    }

    pub(super) fn answers(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.into(), answer);
    }

    pub(super) fn publishes(&self, keys: &[Value]) {
        self.answers(
            "/keys",
            Answer::Whole("200 OK", format!("\r\n{}", set(keys))),
        );
    }

    /// Describes an issuer at `/sso`, by this name and with its keys there.
    pub(super) fn describes(&self, issuer: &str, jwks_uri: &str) {
        let body = json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string();
        let answer = Answer::Whole("200 OK", format!("\r\n{body}"));
        self.answers("/sso/.well-known/openid-configuration", answer);
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.at)
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Its issuer is found by its own description alone, and a token of it, under the published key
    /// `k`, is verified.
    pub(super) async fn is_discovered_by(&self, client: &JwksHttpClient) {
        let issuer = self.url("/sso");
        self.describes(&issuer, &self.url("/keys"));
        let tokens = JwtAuthenticator::builder(&issuer, AUDIENCE)
            .discover(client)
            .unwrap()
            .build()
            .unwrap();
        let mut claims = claims();
        claims["iss"] = json!(issuer);
        let header = r#"{"alg":"ES256","kid":"k"}"#;
        let token = signed(Algorithm::ES256, header, claims.to_string());
        let verdict = tokens.verify(Credential::new(&token), now()).await.unwrap();
        assert!(matches!(verdict, Verdict::Verified(_)), "{verdict:?}");
        let asked = ["/sso/.well-known/openid-configuration", "/keys"];
        assert_eq!(self.asked(), asked);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn reply(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    routes: &Answers,
    log: &Asked,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        // The beginning of TLS, which is not spoken here.
        if head == [0x16] {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    log.lock().unwrap().push(path.clone());
    let answer = routes.lock().unwrap().get(&path).cloned();
    send(&mut stream, answer).await.ok()?;
    stream.shutdown().await.ok()
}

async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    answer: Option<Answer>,
) -> std::io::Result<()> {
    match answer.unwrap_or(Answer::Whole("404 Not Found", "\r\n".into())) {
        Answer::Whole(status, rest) => {
            let (lines, body) = rest.split_once("\r\n").unwrap();
            let head = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{lines}{}\r\n",
                body.len(),
                if lines.is_empty() { "" } else { "\r\n" },
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                stream.write_all(&[b' '; 4096]).await?;
            }
        }
        Answer::Drip => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                .await?;
            loop {
                stream.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Answer::Silence => std::future::pending().await,
    }
}
