//! A way to a server on which answers get lost.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    task::JoinHandle,
};

/// Passes on what is said. On request, it cuts a connection when a script has been run, in the place of the answer: the
/// client can't know that it has been run.
#[derive(Debug)]
pub(super) struct Loss {
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    server: SocketAddr,
    /// How many answers are still to be lost.
    left: AtomicU64,
    lost: AtomicU64,
    /// Connections are numbered; those up to this number are silent.
    silent: AtomicU64,
    connections: AtomicU64,
}

impl Loss {
    /// Takes a free port, in front of a server's.
    pub(super) async fn before(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            server: (Ipv4Addr::LOCALHOST, server).into(),
            left: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            silent: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&shared).pass(client));
            }
        });
        Ok(Self { port, state, task })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Loses as many answers to scripts more.
    pub(super) fn lose(&self, count: u64) {
        self.state.left.fetch_add(count, Ordering::SeqCst);
    }

    /// Passes on no answer any more on the connections that there are.
    pub(super) fn silence(&self) {
        let all = self.state.connections.load(Ordering::SeqCst);
        self.state.silent.store(all, Ordering::SeqCst);
    }

    /// How many were lost.
    pub(super) fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Loss {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    async fn pass(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.server).await else {
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let runs_script = AtomicBool::new(false);
        let number = self.connections.fetch_add(1, Ordering::SeqCst) + 1;
        // Both ends are closed when one direction has ended.
        tokio::select! {
            () = self.ask(from_client, to_server, &runs_script) => {}
            () = self.answer(from_server, to_client, &runs_script, number) => {}
        }
    }

    async fn ask(
        &self,
        mut from: tcp::OwnedReadHalf,
        mut to: tcp::OwnedWriteHalf,
        runs_script: &AtomicBool,
    ) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let bytes = buffer.get(..length).unwrap_or_default();
            if bytes.windows(7).any(|word| word == b"EVALSHA") {
                runs_script.store(true, Ordering::SeqCst);
            }
            if to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    async fn answer(
        &self,
        mut from: tcp::OwnedReadHalf,
        mut to: tcp::OwnedWriteHalf,
        runs_script: &AtomicBool,
        number: u64,
    ) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if number <= self.silent.load(Ordering::SeqCst) {
                continue;
            }
            if runs_script.swap(false, Ordering::SeqCst) && self.takes() {
                self.lost.fetch_add(1, Ordering::SeqCst);
                return;
            }
            let bytes = buffer.get(..length).unwrap_or_default();
            if to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    fn takes(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        let taken = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        taken.is_ok()
    }
}
