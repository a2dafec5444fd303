//! The proxy's switches and counters, shared by all its threads.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::connection::Connection;

/// How long [`Control::cut`] waits for the threads of a connection to let go of it.
const CUT_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Control {
    delay_nanos: AtomicU64,
    round_trips: AtomicU64,
    accepted: AtomicU64,
    paused: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    upstream: SocketAddr,
    refuse: bool,
    stop: bool,
    listening: bool,
    live: Vec<Weak<Connection>>,
}

impl Control {
    pub(super) fn new(upstream: SocketAddr, delay: Duration) -> Self {
        let control = Self {
            delay_nanos: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            state: Mutex::new(State {
                upstream,
                refuse: false,
                stop: false,
                listening: true,
                live: Vec::new(),
            }),
            changed: Condvar::new(),
        };
        control.set_delay(delay);
        control
    }

    pub(super) fn redirect(&self, upstream: SocketAddr) {
        self.state().upstream = upstream;
    }

    pub(super) fn upstream(&self) -> SocketAddr {
        self.state().upstream
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        self.delay_nanos.store(nanos, Ordering::Relaxed);
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay_nanos.load(Ordering::Relaxed))
    }

    pub(super) fn count_round_trip(&self) {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn connections(&self) -> usize {
        self.state()
            .live
            .iter()
            .filter(|connection| connection.strong_count() > 0)
            .count()
    }

    pub(super) fn add(&self, connection: &Arc<Connection>) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        state
            .live
            .retain(|connection| connection.strong_count() > 0);
        state.live.push(Arc::downgrade(connection));
    }

    pub(super) fn pause(&self, paused: bool) {
        // Changed under the lock, or a waiting thread could miss it.
        let state = self.state();
        self.paused.store(paused, Ordering::Release);
        drop(state);
        self.changed.notify_all();
    }

    /// Returns once bytes may flow on this connection, or it has been cut.
    pub(super) fn wait_while_paused(&self, connection: &Connection) {
        if !self.paused.load(Ordering::Acquire) {
            return;
        }
        let held = |_: &mut State| self.paused.load(Ordering::Acquire) && !connection.is_cut();
        let state = self.changed.wait_while(self.state(), held);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn cut(&self) {
        let live: Vec<_> = std::mem::take(&mut self.state().live);
        {
            let _state = self.state();
            live.iter()
                .filter_map(Weak::upgrade)
                .for_each(|connection| connection.cut());
        }
        self.changed.notify_all();
        // The reset is sent when the last of the connection's threads lets go of the socket.
        let deadline = Instant::now() + CUT_PATIENCE;
        while live.iter().any(|connection| connection.strong_count() > 0)
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Returns once the port is closed, or open again.
    pub(super) fn refuse(&self, refuse: bool, address: SocketAddr) {
        self.state().refuse = refuse;
        self.changed.notify_all();
        if refuse {
            wake(address);
        }
        let pending = |state: &mut State| state.listening == refuse && !state.stop;
        let state = self.changed.wait_while(self.state(), pending);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn stop(&self, address: SocketAddr) {
        self.state().stop = true;
        self.changed.notify_all();
        wake(address);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state().stop
    }

    pub(super) fn is_refusing(&self) -> bool {
        self.state().refuse
    }

    pub(super) fn set_listening(&self) {
        self.state().listening = true;
        self.changed.notify_all();
    }

    pub(super) fn wait_while_refusing(&self) {
        let mut state = self.state();
        state.listening = false;
        self.changed.notify_all();
        let state = self
            .changed
            .wait_while(state, |state| state.refuse && !state.stop);
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The acceptor looks at the switches between two connections, so give it one.
fn wake(address: SocketAddr) {
    drop(TcpStream::connect(address));
}
