//! A user at a tenant's host: requests, event streams, sockets.

use std::net::SocketAddr;

use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tenancy::UserId;
use tenancy_tests::{logwatch, notes};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::world::SOON;

#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    host: String,
    token: String,
    http: reqwest::Client,
}

/// An event as it arrived: its name and its data.
pub(crate) type Event = (String, Value);

impl Client {
    pub(crate) fn new(address: SocketAddr, host: String, user: UserId) -> Self {
        Self {
            address,
            host,
            token: token(user),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.http
            .request(method, url)
            .header("host", &self.host)
            .bearer_auth(&self.token)
    }

    /// Writes a note, and returns the status.
    pub(crate) async fn write(&self, title: &str) -> anyhow::Result<u16> {
        let request = self.request(reqwest::Method::POST, "/notes");
        let answer = request.json(&json!({ "title": title })).send();
        Ok(timeout(SOON, answer).await??.status().as_u16())
    }

    /// The titles of all notes.
    pub(crate) async fn titles(&self) -> anyhow::Result<Vec<String>> {
        let answer = self.request(reqwest::Method::GET, "/notes").send();
        let notes: Vec<Value> = timeout(SOON, answer)
            .await??
            .error_for_status()?
            .json()
            .await?;
        Ok(notes.iter().map(title).collect())
    }

    /// Opens `GET /events`; the service listens from then on.
    pub(crate) async fn events(&self) -> anyhow::Result<Events> {
        let answer = self.request(reqwest::Method::GET, "/events").send();
        let response = timeout(SOON, answer).await??.error_for_status()?;
        Ok(Events {
            response,
            unread: String::new(),
        })
    }

    /// Opens `GET /socket`; the service listens from then on.
    pub(crate) async fn socket(&self) -> anyhow::Result<Socket> {
        let mut request = format!("ws://{}/socket", self.host).into_client_request()?;
        let bearer = format!("Bearer {}", self.token).parse()?;
        request.headers_mut().insert("authorization", bearer);
        let stream = TcpStream::connect(self.address).await?;
        let opened = tokio_tungstenite::client_async(request, stream);
        Ok(Socket(timeout(SOON, opened).await??.0))
    }

    /// The status with which `GET /socket` is answered instead of an upgrade.
    pub(crate) async fn socket_refused(&self) -> anyhow::Result<u16> {
        let refused = self.socket().await.err().context("it was opened")?;
        match refused.downcast::<tokio_tungstenite::tungstenite::Error>()? {
            tokio_tungstenite::tungstenite::Error::Http(response) => Ok(response.status().as_u16()),
            other => Err(other.into()),
        }
    }
}

/// An event stream.
pub(crate) struct Events {
    response: reqwest::Response,
    unread: String,
}

impl Events {
    /// The next event; `None` when the stream has ended.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            while let Some((event, rest)) = self.unread.split_once("\n\n") {
                let event = parse(event);
                self.unread = rest.to_owned();
                if event.is_some() {
                    return Ok(event);
                }
            }
            let chunk = timeout(SOON, self.response.chunk()).await;
            match chunk.context("no event arrives")?? {
                Some(chunk) => self.unread.push_str(std::str::from_utf8(&chunk)?),
                None => return Ok(None),
            }
        }
    }

    /// The title of the note that is next.
    pub(crate) async fn note(&mut self) -> anyhow::Result<String> {
        let next = self.next().await?.context("the stream has ended")?;
        noted(next)
    }

    /// The type of the problem with which the stream ends now.
    pub(crate) async fn end(&mut self) -> anyhow::Result<String> {
        let (event, problem) = self.next().await?.context("it ended without a word")?;
        anyhow::ensure!(event == "end", "{event}: {problem}");
        let after = self.next().await?;
        anyhow::ensure!(after.is_none(), "{after:?} after the end");
        Ok(problem_type(&problem))
    }
}

/// A websocket.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub(crate) async fn write(&mut self, title: &str) -> anyhow::Result<()> {
        self.say(&json!({ "title": title }).to_string()).await
    }

    pub(crate) async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.0.send(Message::text(text)).await?)
    }

    async fn frame(&mut self) -> anyhow::Result<Message> {
        let frame = timeout(SOON, self.0.next())
            .await
            .context("nothing arrives")?;
        Ok(frame.context("the socket has ended")??)
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Event> {
        match self.frame().await? {
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(&text)?;
                Ok((
                    frame["event"].as_str().unwrap().into(),
                    frame["data"].clone(),
                ))
            }
            other => anyhow::bail!("{other:?} is no event"),
        }
    }

    /// The title of the note that is next.
    pub(crate) async fn note(&mut self) -> anyhow::Result<String> {
        noted(self.next().await?)
    }

    /// The type of the problem with which the last message was refused.
    pub(crate) async fn refused(&mut self) -> anyhow::Result<String> {
        let (event, problem) = self.next().await?;
        anyhow::ensure!(event == "refused", "{event}: {problem}");
        Ok(problem_type(&problem))
    }

    /// The code and the text with which the socket is closed now.
    pub(crate) async fn end(&mut self) -> anyhow::Result<(u16, String)> {
        let farewell = match self.frame().await? {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => anyhow::bail!("{other:?} instead of an end"),
        };
        // Reading on sends the answer to it.
        let after = timeout(SOON, self.0.next()).await?;
        anyhow::ensure!(after.is_none(), "{after:?} after the end");
        Ok(farewell)
    }
}

fn noted((event, note): Event) -> anyhow::Result<String> {
    anyhow::ensure!(event == "note", "{event}: {note}");
    Ok(title(&note))
}

fn title(note: &Value) -> String {
    note["title"].as_str().unwrap().to_owned()
}

fn problem_type(problem: &Value) -> String {
    problem["type"].as_str().unwrap().to_owned()
}

/// Reads an event as the format has it; `None` for a comment, which keeps the stream alive.
fn parse(text: &str) -> Option<Event> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let data = serde_json::from_str(field("data: ")?).unwrap();
    Some((field("event: ")?.to_owned(), data))
}

fn token(user: UserId) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let claims = json!({
        "iss": notes::ISSUER, "aud": notes::AUDIENCE, "sub": user, "exp": now.as_secs() + 3600,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(notes::SECRET);
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    logwatch::issued(&token);
    token
}
