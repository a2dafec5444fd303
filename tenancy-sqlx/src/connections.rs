//! A pool whose connections live in the runtime that made the pool, that serves tenants in turn,
//! and that does not wait for a database that is out of reach.

mod anchor;
mod breaker;
mod lent;
mod mark;
mod opening;
mod place;
mod queue;
mod returning;
mod rounds;
mod settings;
mod stock;
mod tally;
mod upkeep;

use std::{io, sync::Arc, time::Duration};

use sqlx::{Connection as _, PgConnection};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};

use crate::{
    Error, StartError,
    error::{Told, is_out_of_reach},
    route::{Reset, Route, Through},
    seal::Seal,
    session::Named,
};
use breaker::{Breaker, Pass};
pub(crate) use lent::Lent;
pub(crate) use mark::Mark;
pub(crate) use place::{Place, Whose, address};
pub(crate) use queue::{Allowance, Lane, Level, Load};
pub(crate) use settings::{Settings, count};
use stock::Stock;
use upkeep::Upkeep;
pub(crate) use upkeep::{RESET_SESSION, Wear, begin_sealed};

/// Connections to one database, and the runtime in which they are opened.
///
/// A socket works as long as the runtime in which it was opened. A server with a runtime per
/// worker, such as actix-web's, would lose connections that other workers use when one worker ends
/// before them: requests that were accepted would fail while the server shuts down. So connections are
/// opened in the runtime that made the pool, which in a service is the one that outlives the
/// workers. Where that one has ended all the same, they are opened where the caller is.
///
/// A caller waits for the whole acquire timeout. After the first caller for whom that was in vain
/// because no connection could be opened, the others are refused at once until the database answers.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    stock: Arc<Stock>,
    breaker: Arc<Breaker>,
    place: Place,
    before_begin: Arc<str>,
}

impl Connections {
    /// A pool with one connection, whose sessions are freed of what transactions can't undo, if that is
    /// wanted.
    ///
    /// # Errors
    /// A [`StartError`] that says where the database was looked for, if there is none.
    pub(crate) async fn open(
        whose: Whose,
        settings: Settings,
        route: &Route,
        reset: Reset,
    ) -> Result<Self, StartError> {
        // Behind a pooler, it would reach another session than the one that was used.
        let resets_session = reset == Reset::Always && !route.through.is_pooler();
        let deadline = Instant::now() + settings.patience;
        let upkeep = Upkeep::new(route.through, resets_session, settings.patience);
        let stock = Stock::new(route.options.clone(), settings, upkeep, Handle::current());
        let first = match timeout_at(deadline, stock.acquire(Lane::HOUSE, None)).await {
            Ok(first) => first,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        };
        let place = Place::of(whose, &route.options);
        drop(first.map_err(|error| StartError::not_reached(&route.options, error))?);
        rounds::start(&stock);
        Ok(Self {
            stock,
            breaker: Arc::new(Breaker::new(place.clone())),
            place,
            before_begin: route.before_begin(reset).into(),
        })
    }

    /// Another pool to the same database, which opens its first connection when it is asked for
    /// one. What one of the two learns of an outage, the other knows.
    pub(crate) fn beside(&self, settings: Settings) -> Self {
        let stock = Stock::new(
            self.stock.options.clone(),
            settings,
            self.stock.upkeep.clone(),
            self.stock.home().clone(),
        );
        if let Some(seal) = self.stock.seal() {
            stock.set_seal(Arc::clone(seal));
        }
        rounds::start(&stock);
        Self {
            stock,
            breaker: Arc::clone(&self.breaker),
            place: self.place.clone(),
            before_begin: Arc::clone(&self.before_begin),
        }
    }

    /// Has its sessions sealed from now on, and those of pools [beside](Self::beside) it.
    pub(crate) fn seal(&self, seal: Seal) {
        self.stock.set_seal(Arc::new(seal));
    }

    /// Whether its sessions are sealed.
    pub(crate) fn is_sealed(&self) -> bool {
        self.stock.seal().is_some()
    }

    /// The number of the key with which they are.
    pub(crate) fn key_id(&self) -> Option<u16> {
        self.stock.seal().map(|seal| seal.key_id())
    }

    /// What it is for.
    pub(crate) const fn whose(&self) -> Whose {
        self.place.whose
    }

    /// How long a caller waits at most.
    pub(crate) fn patience(&self) -> Duration {
        self.stock.settings.patience
    }

    /// The most connections that are open at a time.
    pub(crate) fn most(&self) -> u32 {
        self.stock.settings.most
    }

    /// Takes a connection on behalf of somebody: one whose session names what is wanted, if one is idle.
    ///
    /// # Errors
    /// At once, where the database was found out of reach and has not answered since. After the deadline,
    /// with how long another would wait, where those who have the connections are the reason.
    pub(crate) async fn acquire(
        &self,
        lane: Lane,
        wanted: Option<Named>,
        deadline: Instant,
    ) -> Result<Lent, Error> {
        let began = std::time::Instant::now();
        match self.breaker.ask() {
            Pass::Closed => {}
            Pass::Refused => return Err(out_of_reach().into()),
            Pass::Probe(_turn) => {
                self.probe(deadline).await?;
                self.breaker.answered();
            }
        }
        let acquired = match timeout_at(deadline, self.stock.acquire(lane, wanted)).await {
            Ok(acquired) => acquired,
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        };
        let error = match acquired {
            Ok(lent) => {
                self.stock.tally.acquired();
                let waited = began.elapsed();
                if waited > self.stock.settings.slow {
                    let tenant = lane.tenant.map(tracing::field::display);
                    tracing::warn!(?waited, tenant.id = tenant, "a connection was waited for");
                }
                return Ok(lent);
            }
            Err(error) => error,
        };
        if matches!(error, sqlx::Error::PoolTimedOut) {
            self.stock.tally.timed_out();
            if self.stock.is_busy_for(lane) {
                let now = std::time::Instant::now();
                return Err(Error::busy(self.stock.queue().wait_of_one_more(lane, now)));
            }
            let reason = self.stock.why_not_opened();
            self.breaker.failed(began, &reason);
            let where_and_why = format!("{}: {reason}", self.place.address);
            return Err(Error::from(error).detailed(where_and_why));
        }
        if is_out_of_reach(&error) {
            self.breaker.failed(began, &Told(&error));
            return Err(Error::from(error).detailed(self.place.address.clone()));
        }
        Err(error.into())
    }

    /// Counts a statement in autocommit. Says whether its session is to be looked at afterwards.
    pub(crate) fn count_statement(&self, was_pinned: bool) -> bool {
        self.is_checked(self.stock.tally.statement(was_pinned))
    }

    /// Counts a tenant's transaction. Says whether its tenant is to be looked at before it ends.
    pub(crate) fn count_transaction(&self) -> bool {
        self.is_checked(self.stock.tally.transaction())
    }

    fn is_checked(&self, number: u64) -> bool {
        let every = u64::from(self.stock.settings.check_every);
        every != 0 && number.is_multiple_of(every)
    }

    /// How many statements in autocommit have found their session named, and how many have not.
    pub(crate) fn statements(&self) -> (u64, u64) {
        self.stock.tally.statements()
    }

    /// Whether there is a reason to wait, other than that the database is out of reach.
    pub(crate) fn is_busy_for(&self, lane: Lane) -> bool {
        self.stock.is_busy_for(lane)
    }

    /// Notes that the database has answered.
    pub(crate) fn answered(&self) {
        self.breaker.answered();
    }

    /// Notes that the database was asked and said nothing until the caller's patience had ended.
    pub(crate) fn unanswered(&self, since: Instant) {
        let reason = "a connection that is open got no answer in time";
        self.breaker.failed(since.into_std(), &reason);
    }

    /// Whether a connection that comes back is rid of what a session keeps.
    pub(crate) fn resets_session(&self) -> bool {
        self.stock.upkeep.resets_session()
    }

    /// Waits for all connections to come back, and closes them.
    pub(crate) async fn close(&self) {
        self.stock.close().await;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.stock.queue().is_closed()
    }

    /// The number of connections that are open or being opened.
    pub(crate) fn size(&self) -> usize {
        self.stock.queue().open()
    }

    /// The number of connections that wait for somebody to use them.
    pub(crate) fn idle(&self) -> usize {
        self.stock.queue().idle()
    }

    /// How busy it is.
    pub(crate) fn level(&self) -> Level {
        self.stock.queue().level(std::time::Instant::now())
    }

    /// How many callers have been lent a connection, and how many have waited in vain.
    pub(crate) fn totals(&self) -> (u64, u64) {
        self.stock.tally.totals()
    }

    /// Finds out whether the database is back, by one attempt.
    async fn probe(&self, deadline: Instant) -> Result<(), sqlx::Error> {
        match timeout_at(deadline, PgConnection::connect_with(&self.stock.options)).await {
            Ok(Ok(connection)) => {
                let _ = timeout_at(deadline, connection.close()).await;
                Ok(())
            }
            Ok(Err(error)) if is_out_of_reach(&error) => Err(error),
            // It has something to say, which the pool will hear too.
            Ok(Err(_)) => Ok(()),
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// What is between this pool and the server.
    pub(crate) fn through(&self) -> Through {
        self.stock.upkeep.through()
    }

    /// What goes ahead of each BEGIN, in the same message.
    pub(crate) fn before_begin(&self) -> &str {
        &self.before_begin
    }
}

fn out_of_reach() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::NotConnected,
        "the database was out of reach a moment ago and has not been asked again yet",
    ))
}
