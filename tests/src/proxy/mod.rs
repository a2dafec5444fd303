//! A TCP proxy on loopback that makes the network slow, silent or absent.

mod connection;
mod control;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use sqlx::postgres::PgConnectOptions;

use control::Control;

/// A proxy in front of one server.
///
/// It runs on threads of its own, so it needs no async runtime and stays punctual when the one
/// under test is busy: bytes arrive within some ten microseconds of the time they are due, where a
/// runtime's timer rounds up to a millisecond.
///
/// Dropping it ends every connection.
///
/// # Example: round trips of a query
///
/// ```no_run
/// use std::time::Duration;
/// use sqlx::Connection;
/// use tenancy_tests::{DelayProxy, Server, Template, Version};
///
/// # async fn test() -> anyhow::Result<()> {
/// let database = Server::start(Version::Default).await?.database(&Template::empty()).await?;
/// let proxy = DelayProxy::for_options(&database.admin_options(), Duration::from_micros(250))?;
///
/// let mut connection = sqlx::PgConnection::connect_with(&proxy.reroute(database.admin_options())).await?;
/// let before = proxy.round_trips();
/// connection.ping().await?;
/// assert_eq!(proxy.round_trips() - before, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the proxy ends when this value is dropped"]
pub struct DelayProxy {
    address: SocketAddr,
    control: Arc<Control>,
    acceptor: Option<JoinHandle<()>>,
    /// Keeps the port from others while the proxy refuses. It never listens.
    _port: Socket,
}

impl DelayProxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `upstream`, holding every byte for
    /// `one_way` in each direction.
    ///
    /// # Errors
    ///
    /// When `upstream` is no address, or no port is free.
    pub fn start(upstream: impl ToSocketAddrs, one_way: Duration) -> io::Result<Self> {
        let upstream = first(upstream)?;
        let (port, address) = free_port()?;
        let listener = TcpListener::bind(address)?;
        let control = Arc::new(Control::new(upstream, one_way));
        let acceptor = thread::Builder::new().name("proxy".into()).spawn({
            let control = Arc::clone(&control);
            move || accept(listener, address, &control)
        })?;
        Ok(Self {
            address,
            control,
            acceptor: Some(acceptor),
            _port: port,
        })
    }

    /// [`start`](Self::start) in front of the server that these options lead to.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn for_options(options: &PgConnectOptions, one_way: Duration) -> io::Result<Self> {
        Self::start((options.get_host(), options.get_port()), one_way)
    }

    /// The same options, but through the proxy.
    #[must_use]
    pub fn reroute(&self, options: PgConnectOptions) -> PgConnectOptions {
        options.host("127.0.0.1").port(self.address.port())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards new connections to another server: what has its address from now on. Live ones go
    /// on; see [`cut`](Self::cut).
    ///
    /// # Errors
    ///
    /// When `upstream` is no address.
    pub fn redirect(&self, upstream: impl ToSocketAddrs) -> io::Result<()> {
        self.control.redirect(first(upstream)?);
        Ok(())
    }

    /// Changes the delay for bytes that arrive from now on.
    pub fn set_delay(&self, one_way: Duration) {
        self.control.set_delay(one_way);
    }

    /// Holds all bytes in both directions until [`resume`](Self::resume), as a network that
    /// swallows packets would. Connections stay open.
    pub fn pause(&self) {
        self.control.pause(true);
    }

    /// Forwards again, beginning with what was held.
    pub fn resume(&self) {
        self.control.pause(false);
    }

    /// Resets every live connection on both sides. What was on its way is lost.
    ///
    /// New connections are still accepted; see [`refuse`](Self::refuse).
    pub fn cut(&self) {
        self.control.cut();
    }

    /// Whether new connections are refused, as they are on a machine where no server runs. Live
    /// ones go on; see [`cut`](Self::cut).
    pub fn refuse(&self, refuse: bool) {
        self.control.refuse(refuse, self.address);
    }

    /// How often clients have spoken after listening, over all connections so far.
    ///
    /// A burst of messages that needs no answer in between counts once, so the difference over an
    /// operation is the round trips it took. Opening a connection counts too, and so does the
    /// farewell of a closed one, which nobody answers.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.control.round_trips()
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.control.connections()
    }

    /// How many connections have ever been accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.control.accepted()
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        self.control.stop(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.control.cut();
    }
}

/// A port that no other socket is given as a free one, and that listeners of ours can still bind.
fn free_port() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // As a `TcpListener` does. Two sockets share an address where both say so and one listens at most.
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket();
    let address = address.ok_or_else(|| io::Error::other("a bound socket has no address"))?;
    Ok((socket, address))
}

fn first(upstream: impl ToSocketAddrs) -> io::Result<SocketAddr> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "no address to forward to");
    upstream.to_socket_addrs()?.next().ok_or_else(none)
}

fn accept(first: TcpListener, address: SocketAddr, control: &Arc<Control>) {
    let mut listener = Some(first);
    loop {
        if control.is_stopped() {
            return;
        }
        if control.is_refusing() {
            // Only a port that nobody listens on answers with "connection refused".
            listener = None;
            control.wait_while_refusing();
            continue;
        }
        let Some(open) = &listener else {
            listener = TcpListener::bind(address).ok();
            if listener.is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            continue;
        };
        control.set_listening();
        if let Ok((client, _)) = open.accept()
            && !control.is_stopped()
            && !control.is_refusing()
        {
            // An upstream that refuses shows as a connection closed at once.
            if let Ok(server) = TcpStream::connect(control.upstream()) {
                let _ = connection::spawn(client, server, control);
            }
        }
    }
}
