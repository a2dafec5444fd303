//! The proxy: late, silent, broken and absent exactly when told to be.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use socket2::{Domain, Socket, Type};
use sqlx::{Connection, Executor, PgConnection};
use tenancy_tests::{DelayProxy, Server, Template, Version};

/// A server that sends back what it gets.
fn echo() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    Ok(address)
}

fn connect(proxy: &DelayProxy) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(proxy.address())?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn exchange(stream: &mut TcpStream) -> io::Result<Duration> {
    let start = Instant::now();
    let mut answer = [0; 4];
    stream.write_all(b"ping")?;
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"ping");
    Ok(start.elapsed())
}

/// The fastest of many, because a shared machine may stop any single exchange for a while.
fn fastest(stream: &mut TcpStream) -> io::Result<Duration> {
    let times = (0..51).map(|_| exchange(stream));
    let times = times.collect::<io::Result<Vec<_>>>()?;
    Ok(times.into_iter().min().unwrap_or_default())
}

#[test]
fn every_byte_is_as_late_as_the_delay_of_its_moment() -> Result<()> {
    let proxy = DelayProxy::start(echo()?, Duration::from_millis(2))?;
    let mut stream = connect(&proxy)?;
    let slow = fastest(&mut stream)?;
    assert!(slow >= Duration::from_millis(4), "{slow:?}");

    proxy.set_delay(Duration::from_micros(250));
    let fast = fastest(&mut stream)?;
    assert!(fast >= Duration::from_micros(500), "{fast:?}");
    assert!(fast < Duration::from_millis(4), "{fast:?}");
    Ok(())
}

#[test]
fn the_delay_does_not_throttle() -> Result<()> {
    let proxy = DelayProxy::start(echo()?, Duration::from_millis(200))?;
    let stream = connect(&proxy)?;
    let sent = vec![7; 4 * 1024 * 1024];
    let start = Instant::now();

    let received = thread::scope(|scope| {
        scope.spawn(|| {
            (&stream)
                .write_all(&sent)
                .and_then(|()| stream.shutdown(std::net::Shutdown::Write))
        });
        let mut received = Vec::new();
        (&stream).read_to_end(&mut received).map(|_| received)
    })?;

    assert!(received == sent);
    let took = start.elapsed();
    // Held one after the other, each 64 KiB for as long, they would take 12.8 s.
    assert!(
        (Duration::from_millis(400)..Duration::from_secs(12)).contains(&took),
        "{took:?}"
    );
    Ok(())
}

#[test]
fn a_pause_holds_what_is_sent_until_it_ends() -> Result<()> {
    let proxy = DelayProxy::start(echo()?, Duration::ZERO)?;
    let mut stream = connect(&proxy)?;
    exchange(&mut stream)?;

    proxy.pause();
    stream.write_all(b"held")?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut answer = [0; 4];
    let silence = stream.read(&mut answer).map_err(|error| error.kind());
    assert!(
        matches!(silence, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "{silence:?}"
    );

    proxy.resume();
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"held");
    Ok(())
}

#[test]
fn a_cut_resets_live_connections_even_paused_ones_and_new_ones_work() -> Result<()> {
    let proxy = DelayProxy::start(echo()?, Duration::ZERO)?;
    let mut idle = connect(&proxy)?;
    let mut waiting = connect(&proxy)?;
    exchange(&mut idle)?;
    exchange(&mut waiting)?;
    assert_eq!(proxy.connections(), 2);
    proxy.pause();
    waiting.write_all(b"lost")?;

    proxy.cut();

    assert_eq!(proxy.connections(), 0);
    for stream in [&mut idle, &mut waiting] {
        let end = stream.read(&mut [0; 4]).map_err(|error| error.kind());
        assert_eq!(end, Err(ErrorKind::ConnectionReset));
    }
    proxy.resume();
    exchange(&mut connect(&proxy)?)?;
    assert_eq!(proxy.accepted(), 3);
    Ok(())
}

#[test]
fn refusing_is_like_nobody_listening_and_can_end() -> Result<()> {
    let proxy = DelayProxy::start(echo()?, Duration::ZERO)?;
    let mut before = connect(&proxy)?;
    exchange(&mut before)?;

    for _ in 0..3 {
        proxy.refuse(true);
        let refused = connect(&proxy).map_err(|error| error.kind());
        ensure!(
            matches!(refused, Err(ErrorKind::ConnectionRefused)),
            "{refused:?}"
        );
        exchange(&mut before)?;

        proxy.refuse(false);
        exchange(&mut connect(&proxy)?)?;
    }
    Ok(())
}

#[test]
fn nobody_is_given_the_port_of_a_proxy_that_refuses() -> Result<()> {
    let proxy = DelayProxy::start(echo()?, Duration::ZERO)?;
    proxy.refuse(true);

    let other = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let taken = other.bind(&proxy.address().into());
    assert_eq!(
        taken.map_err(|error| error.kind()),
        Err(ErrorKind::AddrInUse)
    );

    proxy.refuse(false);
    exchange(&mut connect(&proxy)?)?;
    Ok(())
}

#[test]
fn an_orderly_end_passes_through() -> Result<()> {
    let proxy = DelayProxy::start(echo()?, Duration::from_millis(1))?;
    let mut stream = connect(&proxy)?;
    stream.write_all(b"last words")?;
    stream.shutdown(std::net::Shutdown::Write)?;

    let mut heard = String::new();
    stream.read_to_string(&mut heard)?;

    assert_eq!(heard, "last words");
    Ok(())
}

#[test]
fn dropping_the_proxy_ends_its_connections() -> Result<()> {
    let proxy = DelayProxy::start(echo()?, Duration::ZERO)?;
    let address = proxy.address();
    let mut stream = connect(&proxy)?;
    exchange(&mut stream)?;

    drop(proxy);

    assert!(stream.read(&mut [0; 4]).is_err());
    assert!(TcpStream::connect(address).is_err());
    Ok(())
}

#[test]
fn messages_that_wait_for_no_answer_are_one_round_trip() -> Result<()> {
    let proxy = DelayProxy::start(echo()?, Duration::from_millis(20))?;
    let mut stream = connect(&proxy)?;
    let mut answer = [0; 2];

    stream.write_all(b"a")?;
    thread::sleep(Duration::from_millis(5));
    stream.write_all(b"b")?;
    stream.read_exact(&mut answer)?;
    assert_eq!(proxy.round_trips(), 1);

    stream.write_all(b"c")?;
    stream.read_exact(&mut answer[..1])?;
    assert_eq!(proxy.round_trips(), 2);
    Ok(())
}

#[tokio::test]
async fn statements_of_a_database_are_counted() -> Result<()> {
    let database = Server::start(Version::Default)
        .await?
        .database(&Template::empty())
        .await?;
    let proxy = DelayProxy::for_options(&database.admin_options(), Duration::from_micros(250))?;
    let mut connection =
        PgConnection::connect_with(&proxy.reroute(database.admin_options())).await?;

    let mut trips = Vec::new();
    for sql in ["BEGIN; SELECT 1; SELECT 2", "COMMIT"] {
        let before = proxy.round_trips();
        connection.execute(sqlx::raw_sql(sql)).await?;
        trips.push(proxy.round_trips() - before);
    }
    for _ in 0..2 {
        let before = proxy.round_trips();
        sqlx::query("SELECT 3").execute(&mut connection).await?;
        trips.push(proxy.round_trips() - before);
    }

    // A statement is prepared the first time, and only then.
    assert_eq!(trips, [1, 1, 2, 1]);
    database.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_cut_reaches_the_database_client() -> Result<()> {
    let database = Server::start(Version::Default)
        .await?
        .database(&Template::empty())
        .await?;
    let proxy = DelayProxy::for_options(&database.admin_options(), Duration::ZERO)?;
    let mut connection =
        PgConnection::connect_with(&proxy.reroute(database.admin_options())).await?;
    connection.ping().await?;

    proxy.cut();

    assert!(matches!(connection.ping().await, Err(sqlx::Error::Io(_))));
    database.close().await?;
    Ok(())
}
