//! A way to Redis that loses what it is told to lose: a question after some bytes, or an answer.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Where a connection is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// After so many bytes of the next question.
    Question(usize),
    /// The server has heard the next question and answers it; so many bytes of that arrive.
    Answer(usize),
}

/// A proxy that cuts one connection when it is told so.
#[derive(Debug)]
pub(crate) struct Lossy {
    url: String,
    next: Arc<Mutex<Option<Cut>>>,
    task: JoinHandle<()>,
}

impl Lossy {
    /// In front of a Redis on this port.
    pub(crate) async fn start(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("redis://{}", listener.local_addr()?);
        let next: Arc<Mutex<Option<Cut>>> = Arc::default();
        let armed = Arc::clone(&next);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let armed = Arc::clone(&armed);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = pass_on(client, server, &armed).await;
                    }
                });
            }
        });
        Ok(Self { url, next, task })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Cuts the connection that speaks next.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(cut);
    }

    /// Whether what was told last has not happened yet.
    pub(crate) fn is_armed(&self) -> bool {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.is_some()
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// So many of these bytes, or all.
fn first(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(..count).unwrap_or(bytes)
}

async fn pass_on(
    mut client: TcpStream,
    mut server: TcpStream,
    armed: &Mutex<Option<Cut>>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let take_if = |wanted: fn(&Cut) -> bool| {
        let mut next = armed.lock().unwrap_or_else(PoisonError::into_inner);
        next.take_if(|cut| wanted(cut))
    };
    let (mut question, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let bytes = first(&question, read?);
                if bytes.is_empty() {
                    return Ok(());
                }
                if let Some(Cut::Question(after)) = take_if(|cut| matches!(cut, Cut::Question(_))) {
                    return server.write_all(first(bytes, after)).await;
                }
                server.write_all(bytes).await?;
            }
            read = server.read(&mut answer) => {
                let bytes = first(&answer, read?);
                if bytes.is_empty() {
                    return Ok(());
                }
                if let Some(Cut::Answer(after)) = take_if(|cut| matches!(cut, Cut::Answer(_))) {
                    return client.write_all(first(bytes, after.min(bytes.len() - 1))).await;
                }
                client.write_all(bytes).await?;
            }
        }
    }
}
