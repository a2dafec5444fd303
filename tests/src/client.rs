//! A client of HTTP/1.1 that keeps its connection and costs little, for load and measurements.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A connection to a service.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a service answered.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// Whether the service closes the connection after it.
    pub closes: bool,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let received = Vec::with_capacity(4096);
        Ok(Self { stream, received })
    }

    /// Sends a request as it is given, and waits for its answer.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`answer`](Self::answer).
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.send(request).await?;
        self.answer().await
    }

    /// Sends what is given: a request, or a part of one.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits for the answer of the request that was sent.
    ///
    /// # Errors
    /// The connection ends before the answer does, or what comes is no answer whose length is
    /// given.
    pub async fn answer(&mut self) -> io::Result<Answer<'_>> {
        self.received.clear();
        let head = loop {
            match Head::read(&self.received)? {
                Some(head) if head.end <= self.received.len() => break head,
                _ => {}
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                let so_far = self.received.escape_ascii();
                let message = format!("the connection ended after `{so_far}`");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
            }
        };
        Ok(Answer {
            status: head.status,
            body: self.received.get(head.body..head.end).unwrap_or_default(),
            closes: head.closes,
        })
    }
}

/// What the head of an answer says.
#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    /// Where the body begins and ends.
    body: usize,
    end: usize,
    closes: bool,
}

impl Head {
    /// None as long as the head is not complete.
    fn read(received: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let text = received.get(..end).map(str::from_utf8);
        let head = text
            .and_then(Result::ok)
            .and_then(|text| Self::parse(text, end + 4));
        let message = || format!("not understood: `{}`", received.escape_ascii());
        head.map(Some)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, message()))
    }

    fn parse(text: &str, body: usize) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
        let (mut length, mut closes) = (0, false);
        for line in lines {
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        Some(Self {
            status: status.parse().ok()?,
            body,
            end: body + length,
            closes,
        })
    }
}
