//! Watching a context that is held for long: a stream, a socket, a job.

mod pace;

use std::{fmt, mem, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::timeout;

use self::pace::Pace;
use super::feed::Poller;
use crate::{Refusal, RefusalKind, TenantContext, Timestamp, cache::CacheVersion};

/// How long a directory may take to answer before it counts as down, in real time.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// What a watch waits past the moment at which news becomes too old: the clock's resolution.
const PAST: Duration = Duration::from_micros(1);

/// Tells a stream when its [`TenantContext`] has changed and when it holds no longer.
///
/// Made by [`TenantContext::watch`]. The code that waits for a watch drives it: there is no task
/// behind it, and dropping it ends it.
///
/// # How soon
/// A watch looks whenever [`changed`](Self::changed) is called, once per
/// [`poll_interval`](crate::TenancyBuilder::poll_interval) while it waits (default: 1 s), and at
/// the moment its credential expires. So a change made in this process is noticed within one poll
/// interval, and one made in another process within
/// [`max_staleness`](crate::Tenancy::max_staleness) (default: 5 s), plus the time the directory
/// takes to answer; one that nobody told of, within
/// [`max_cache_age`](crate::Tenancy::max_cache_age) (default: 60 s). Watches are not woken by a
/// change, but look at evenly spread moments: a suspended tenant's ten thousand streams ask the
/// directory one after the other.
///
/// # What it costs
/// While nothing changes, a look reads a few counters. It asks the directory nothing and takes no
/// connection; asking what has changed is shared by all watches and requests of the engine. Once in
/// [`max_cache_age`](crate::TenancyBuilder::max_cache_age) (default: 60 s) the context is decided
/// about again, because of changes that nobody told of.
///
/// # When the directory is down
/// A stream goes on, and is ended as [`Unavailable`](RefusalKind::Unavailable) only when its
/// context could not be confirmed for longer than `max_staleness`. A directory that hangs instead
/// of failing has 5 s more.
///
/// # Security
/// A watch closes nothing by itself: a stream that never waits for it keeps what it had at
/// admission. In a `biased` `select!` it stands first. A credential is not verified again, and
/// holds until it expires or is taken back. What a stream *does* for its client, such as a write for each message
/// of a socket, is decided about as a request is, with
/// [`Tenancy::revalidate`](crate::Tenancy::revalidate).
///
/// # Example: a stream that ends with its tenant
/// ```
/// use tenancy_core::{Refusal, RefusalKind, TenantContext};
/// use tokio::sync::mpsc::Receiver;
///
/// /// Passes notes on to a client for as long as it may read them.
/// async fn pass_on(context: TenantContext, mut notes: Receiver<String>) -> Result<usize, Refusal> {
///     let mut watch = context.watch();
///     let mut passed = 0;
///     loop {
///         tokio::select! {
///             biased;
///             changed = watch.changed() => changed?.require("notes:read")?,
///             note = notes.recv() => match note {
///                 Some(note) => passed += note.len(),
///                 None => return Ok(passed),
///             },
///         }
///     }
/// }
/// # use tenancy_core::{danger,
/// #     MemoryDirectory, PermissionRegistry, SystemRole, Tenancy, TenantRecord,
/// #     TenantStatus, jwt::{Algorithm, JwtAuthenticator, VerificationKey},
/// # };
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// # let acme = TenantRecord::new("acme".parse()?, "Acme Ltd").with_status(TenantStatus::Active);
/// # let tenancy = Tenancy::builder(MemoryDirectory::new())
/// #     .authenticator(JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?)
/// #     .permissions(PermissionRegistry::builder().permission("notes:read", SystemRole::Viewer).build()?)
/// #     .build()?;
/// let admin = tenancy.admin(danger::service("an example")?);
/// # admin.create_tenant(&acme).await?;
///
/// let context = tenancy.enter(acme.id, "an example").await?;
/// let (_sender, notes) = tokio::sync::mpsc::channel(1);
/// admin.suspend(acme.id).await?;
/// let ended = pass_on(context, notes).await.unwrap_err();
/// assert_eq!(ended.kind(), RefusalKind::TenantSuspended);
/// # Ok(())
/// # }
/// ```
#[must_use = "a watch that nobody waits for ends nothing"]
pub struct ContextWatch {
    context: TenantContext,
    /// The version under which the context was decided; `None` before the first look.
    version: Option<CacheVersion>,
    /// The latest moment at which the context is known to have held.
    held_at: Timestamp,
    /// Deciding again, while a store is asked. Kept here, so that a caller who gives up waiting
    /// does not start it anew each time.
    look: Option<BoxFuture<'static, Looked>>,
    /// Whether the last look found the store down: the next is for the next tick.
    rests: bool,
    pace: Pace,
    ended: Option<Refusal>,
}

/// What deciding again has shown.
struct Looked {
    version: CacheVersion,
    /// When what was decided is known to have held.
    held_at: Timestamp,
    outcome: Result<TenantContext, Refusal>,
}

impl ContextWatch {
    pub(crate) fn new(context: TenantContext) -> Self {
        let feed = &context.tenancy().inner().feed;
        Self {
            version: None,
            held_at: feed.fresh_as_of(),
            look: None,
            rests: false,
            pace: Pace::new(feed.interval()),
            ended: None,
            context,
        }
    }

    /// The newest context: the watched one, or what it was last renewed to.
    ///
    /// It is as old as the last look; nothing is asked.
    #[must_use]
    pub fn context(&self) -> &TenantContext {
        &self.context
    }

    /// Waits until the context has changed, and returns it renewed: another generation, record,
    /// role or set of permissions.
    ///
    /// Changes that lie close together are one. Safe to drop at any point, and so to use in
    /// `tokio::select!`: a look that has begun is gone on with at the next call.
    ///
    /// # Errors
    /// The [`Refusal`] with which the context ended, and the same one at each call after: what a
    /// new request would be answered, such as
    /// [`TenantSuspended`](RefusalKind::TenantSuspended),
    /// [`TenantNotFound`](RefusalKind::TenantNotFound) for a revoked membership,
    /// [`Unauthenticated`](RefusalKind::Unauthenticated) for an expired credential, and
    /// [`Unavailable`](RefusalKind::Unavailable) if the directory has been out of reach for too
    /// long. It is audited as a request's.
    ///
    /// # Panics
    /// Outside a Tokio runtime whose timers are enabled.
    pub async fn changed(&mut self) -> Result<TenantContext, Refusal> {
        loop {
            if let Some(refusal) = &self.ended {
                return Err(refusal.clone());
            }
            if let Some(change) = self.looked().await {
                return change;
            }
            self.until_next_look().await;
            self.rests = false;
        }
    }

    /// Waits until the context holds no longer, and returns why.
    ///
    /// For what does not mind changes; [`context`](Self::context) is kept new all the same. Safe to
    /// drop at any point.
    ///
    /// # Panics
    /// Outside a Tokio runtime whose timers are enabled.
    pub async fn ended(&mut self) -> Refusal {
        loop {
            if let Err(refusal) = self.changed().await {
                return refusal;
            }
        }
    }

    /// Looks, and decides again if that is called for.
    async fn looked(&mut self) -> Option<Result<TenantContext, Refusal>> {
        if self.look.is_none() && !self.still_holds() && !self.rests {
            self.look = Some(self.begin_look());
        }
        let looked = self.look.as_mut()?.await;
        self.look = None;
        self.settle(looked)
    }

    /// Whether everything that the context rests on is as it was, by what this process has heard.
    fn still_holds(&mut self) -> bool {
        let engine = self.context.tenancy();
        let inner = engine.inner();
        let now = inner.now();
        Poller::of(engine).poll_if_due(now);
        let heard = inner.feed.fresh_as_of();
        let holds = self.version == Some(inner.versions.of(self.context.tenant_id()))
            && inner.max_age.allows(self.context.read_at(), now);
        if holds && inner.feed.is_recent(heard, now) {
            self.held_at = heard;
        }
        holds
            && inner.feed.is_recent(self.held_at, now)
            && self.context.principal().holds_at(now)
            && (inner.token_revocations).admit(self.context.principal(), self.context.tenant_id())
    }

    fn begin_look(&self) -> BoxFuture<'static, Looked> {
        let context = self.context.clone();
        let inner = context.tenancy().inner();
        let now = inner.clock.now();
        let heard = inner.feed.fresh_as_of();
        // Caches are used, and vouched for by the feed, or passed by and the store is asked now.
        let held_at = if inner.feed.is_recent(heard, now) {
            heard
        } else {
            now
        };
        let version = inner.versions.of(context.tenant_id());
        let limit = self.expires_in(now).map_or(LOOK_TIMEOUT, |expiry| {
            // A store that hangs does not keep a stream open past its credential.
            expiry.min(LOOK_TIMEOUT)
        });
        Box::pin(async move {
            let engine = context.tenancy();
            let outcome = match timeout(limit, engine.revalidate(&context)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Refusal::new(
                    RefusalKind::Unavailable,
                    "directory-unavailable",
                )),
            };
            Looked {
                version,
                held_at,
                outcome,
            }
        })
    }

    /// Takes in what a look has shown; `None` if it is nothing to tell.
    fn settle(&mut self, looked: Looked) -> Option<Result<TenantContext, Refusal>> {
        match looked.outcome {
            Ok(renewed) => {
                self.version = Some(looked.version);
                self.held_at = looked.held_at;
                let before = mem::replace(&mut self.context, renewed);
                before
                    .differs_from(&self.context)
                    .then(|| Ok(self.context.clone()))
            }
            Err(refusal) if refusal.kind() == RefusalKind::Unavailable && self.may_go_on() => {
                self.rests = true;
                None
            }
            Err(refusal) => {
                self.ended = Some(refusal.clone());
                Some(Err(refusal))
            }
        }
    }

    /// Whether the context may be believed although the store is down.
    fn may_go_on(&self) -> bool {
        let inner = self.context.tenancy().inner();
        let now = inner.clock.now();
        inner.feed.is_recent(self.held_at, now)
    }

    fn expires_in(&self, now: Timestamp) -> Option<Duration> {
        let expiry = self.context.principal().expires_at;
        expiry.map(|expiry| expiry.since(now))
    }

    /// Waits for the tick, or less if the credential expires or the news becomes too old before.
    async fn until_next_look(&mut self) {
        let inner = self.context.tenancy().inner();
        let now = inner.clock.now();
        let too_old = (self.held_at + inner.feed.max_staleness() + PAST).since(now);
        let at_most = self
            .expires_in(now)
            .map_or(too_old, |expiry| expiry.min(too_old));
        self.pace.tick_within(at_most).await;
    }
}

impl fmt::Debug for ContextWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextWatch")
            .field("context", &self.context)
            .field("held_at", &self.held_at)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
