//! One proxied connection: for each direction a thread that reads and a thread that writes on time.

use std::{
    hint,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;

use super::control::Control;

/// A sleeping thread wakes up to this much late, so the rest of a delay is spent awake.
const SPIN: Duration = Duration::from_micros(100);

#[derive(Debug)]
pub(super) struct Connection {
    client: TcpStream,
    server: TcpStream,
    cut: AtomicBool,
    /// Whether the client has been told something since it last spoke.
    answered: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// Some bytes and the time they arrive; no bytes mean that the sender has finished.
type Parcel = (Instant, Vec<u8>);

pub(super) fn spawn(
    client: TcpStream,
    server: TcpStream,
    control: &Arc<Control>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let connection = Arc::new(Connection {
        client,
        server,
        cut: AtomicBool::new(false),
        answered: AtomicBool::new(true),
    });
    control.add(&connection);
    for direction in [Direction::ToServer, Direction::ToClient] {
        let (sender, parcels) = mpsc::channel();
        let reader = (Arc::clone(&connection), Arc::clone(control));
        let writer = (Arc::clone(&connection), Arc::clone(control));
        thread::Builder::new()
            .name("proxy-read".into())
            .spawn(move || reader.0.read(direction, &reader.1, &sender))?;
        thread::Builder::new()
            .name("proxy-write".into())
            .spawn(move || writer.0.write(direction, &writer.1, &parcels))?;
    }
    Ok(())
}

impl Connection {
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Makes every thread of the connection end; the last to go sends the reset.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        for socket in [&self.client, &self.server] {
            // With no time to linger, closing means reset instead of an orderly end.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            // Wakes the reader, and says nothing to the other side.
            let _ = socket.shutdown(Shutdown::Read);
        }
    }

    fn read(&self, direction: Direction, control: &Control, parcels: &mpsc::Sender<Parcel>) {
        let mut from = match direction {
            Direction::ToServer => &self.client,
            Direction::ToClient => &self.server,
        };
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = match from.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.unwrap_or(0),
            };
            if self.is_cut() {
                return;
            }
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            if direction == Direction::ToServer
                && !bytes.is_empty()
                && self.answered.swap(false, Ordering::AcqRel)
            {
                control.count_round_trip();
            }
            if parcels
                .send((Instant::now() + control.delay(), bytes))
                .is_err()
                || length == 0
            {
                return;
            }
        }
    }

    fn write(&self, direction: Direction, control: &Control, parcels: &mpsc::Receiver<Parcel>) {
        let mut to = match direction {
            Direction::ToServer => &self.server,
            Direction::ToClient => &self.client,
        };
        for (due, bytes) in parcels {
            wait_until(due);
            control.wait_while_paused(self);
            if self.is_cut() {
                return;
            }
            if direction == Direction::ToClient {
                // Before the client can react, and not when the server spoke: a client that sends
                // more while the answer is on its way has not waited for it.
                self.answered.store(true, Ordering::Release);
            }
            if bytes.is_empty() {
                let _ = to.shutdown(Shutdown::Write);
            } else if to.write_all(&bytes).is_err() {
                // One half is gone: the other side has to learn of it.
                let _ = self.client.shutdown(Shutdown::Both);
                let _ = self.server.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

fn wait_until(due: Instant) {
    if let Some(long) = due.checked_duration_since(Instant::now() + SPIN) {
        thread::sleep(long);
    }
    while Instant::now() < due {
        hint::spin_loop();
    }
}
