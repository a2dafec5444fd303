//! Sending a request byte by byte, because well-behaved clients can't send what has to be tried.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in the order of the names.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// All values of a field, as one list.
    pub(crate) fn list(&self, name: &str) -> Option<String> {
        let found = self.fields.iter().filter(|(field, _)| field == name);
        let values: Vec<&str> = found.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(field, _)| field == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// A request as it goes out.
pub(crate) struct Outgoing {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// A request that has been sent over HTTP/1.1, on a connection of its own.
pub(crate) struct Sender {
    pub(crate) stream: TcpStream,
    to_head: bool,
}

impl Sender {
    pub(crate) async fn send(address: SocketAddr, request: &Outgoing) -> anyhow::Result<Self> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes();
        for (name, value) in &request.fields {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&request.body);
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&bytes).await?;
        let to_head = request.method == "HEAD";
        Ok(Self { stream, to_head })
    }

    /// The answer; none if the connection is closed without one.
    pub(crate) async fn answer(mut self) -> anyhow::Result<Option<Answer>> {
        let answering = read(&mut self.stream, self.to_head);
        let answer = tokio::time::timeout(Duration::from_secs(20), answering).await;
        answer.context("no answer within 20 seconds")?
    }
}

/// Sends over HTTP/1.1 on a connection of its own; none if that is closed without an answer.
pub(crate) async fn send(
    address: SocketAddr,
    request: &Outgoing,
) -> anyhow::Result<Option<Answer>> {
    Sender::send(address, request).await?.answer().await
}

async fn read(stream: &mut TcpStream, to_head: bool) -> anyhow::Result<Option<Answer>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if !more(stream, &mut bytes).await? {
            ensure!(bytes.is_empty(), "half a head: {bytes:?}");
            return Ok(None);
        }
    };
    let mut body = bytes.split_off(head);
    let head = String::from_utf8(bytes)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let mut answer = Answer {
        status: status.context("no status")?.parse()?,
        fields: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: String::new(),
    };
    answer.fields.sort();
    if to_head || answer.status == 204 {
        // What is sent all the same comes at once.
        let waited = tokio::time::timeout(Duration::from_millis(20), more(stream, &mut body)).await;
        if let Ok(read) = waited {
            read?;
        }
    } else if answer.field("transfer-encoding").is_some() {
        bail!("a body in chunks is not expected here: {head}");
    } else if let Some(length) = answer.field("content-length") {
        let length: usize = length.parse()?;
        while body.len() < length && more(stream, &mut body).await? {}
        ensure!(body.len() == length, "{} bytes of {length}", body.len());
    } else {
        while more(stream, &mut body).await? {}
    }
    answer.body = String::from_utf8(body)?;
    Ok(Some(answer))
}

async fn more(stream: &mut TcpStream, into: &mut Vec<u8>) -> anyhow::Result<bool> {
    match stream.read_buf(into).await {
        Ok(read) => Ok(read > 0),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(false),
        Err(error) => Err(error.into()),
    }
}
