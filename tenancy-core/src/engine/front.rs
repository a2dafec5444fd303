//! Whole decisions by what was presented: one look-up tells all that the slow way would.
//!
//! With very many tenants the slow way reads the cache of tokens and that of admissions, each a walk
//! to cold memory. Here a set of four is one line of the processor's cache, and leads to one record.
//! The record has all that the slow way looks at for each request, to be compared again.

use std::{
    fmt,
    mem::size_of,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    Authenticator, TenantId, Timestamp,
    cache::CacheVersion,
    digest::Digest,
    engine::context::{Parts, Whole},
};

const WAYS: usize = 4;

/// What a decision is taken to weigh when the table is laid out.
const TYPICAL: usize = 512;

/// The largest part of the budget that one decision may take.
const SHARE: usize = 64;

/// How often sets are looked through for what has ended, under traffic, and how many each time.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
const SWEPT_AT_ONCE: usize = 64;

/// What a decision that is remembered has to be compared with when it is used again. It has copies of
/// what is in the principal, so that nothing else has to be read.
pub(crate) struct Memo {
    /// What stands for the credential's text, the hints and the project.
    pub(super) asked: Digest,
    pub(super) tenant: TenantId,
    /// The tenant's version under which it was decided.
    pub(super) version: CacheVersion,
    /// When it was decided: a clock that shows less was set back.
    pub(super) from: Timestamp,
    /// The moment from which it no longer holds: the credential has expired, or what it rests on is
    /// too old.
    pub(super) until: Timestamp,
    pub(super) issued_at: Option<Timestamp>,
    /// What the authenticators said of their verdicts before; `None` of an API key, about which none is asked.
    /// Most decisions share one: it is not read from cold memory.
    pub(super) standing: Option<Arc<Standing>>,
}

/// The bytes that a decision takes.
fn weight(whole: &Whole) -> usize {
    let role = whole
        .parts
        .role
        .as_ref()
        .map_or(0, |role| role.as_str().len());
    let standing = whole.memo.as_ref().and_then(|memo| memo.standing.as_ref());
    let standing = standing.map_or(0, |standing| {
        size_of::<Standing>() + size_of_val(&*standing.passed_over)
    });
    size_of::<Whole>() + size_of::<Parts>() + role + standing + whole.principal.weight() + 64
}

/// The versions of the authenticators that have looked at a credential; see
/// [`Authenticator::version`].
#[derive(PartialEq, Eq)]
pub(super) struct Standing {
    /// Which has verified it, by position.
    by: usize,
    issuer: Arc<str>,
    verified: u128,
    /// Of those that were asked before, by position: they said that the credential is none of theirs. Most
    /// often there are none.
    passed_over: Box<[(usize, u128)]>,
}

impl Standing {
    /// How the authenticators stand that are asked in this order, of which one has verified a credential of
    /// this issuer; `None` if one of them wants to be asked each time.
    pub(super) fn of(
        authenticators: &[Box<dyn Authenticator>],
        order: &[usize],
        by: usize,
        issuer: &Arc<str>,
        now: Timestamp,
    ) -> Option<Self> {
        let version = |at: usize| Some((at, authenticators.get(at)?.version(None, now)?));
        let passed_over = order.iter().take_while(|at| **at != by);
        Some(Self {
            by,
            issuer: Arc::clone(issuer),
            verified: authenticators.get(by)?.version(Some(issuer), now)?,
            passed_over: passed_over.map(|at| version(*at)).collect::<Option<_>>()?,
        })
    }

    /// Whether they all stand as they did.
    pub(super) fn lasts(&self, authenticators: &[Box<dyn Authenticator>], now: Timestamp) -> bool {
        let version = |at: usize, issuer| authenticators.get(at)?.version(issuer, now);
        let mut passed_over = self.passed_over.iter();
        version(self.by, Some(&self.issuer)) == Some(self.verified)
            && passed_over.all(|(at, before)| version(*at, None) == Some(*before))
    }
}

/// One line of the processor's cache.
#[repr(align(64))]
#[derive(Default)]
struct Set(Mutex<Ways>);

#[derive(Default)]
struct Ways {
    tags: [u32; WAYS],
    decided: [Option<Arc<Whole>>; WAYS],
    /// Which is replaced next.
    next: u8,
}

/// Decisions within a budget of bytes.
pub(super) struct Front {
    sets: Box<[Set]>,
    budget: usize,
    weight: AtomicUsize,
    /// The set that is swept next.
    hand: AtomicUsize,
    /// When the next sweep is due (microseconds).
    due_at: AtomicI64,
    /// How the authenticators stood when the newest decision was kept.
    newest: Mutex<Option<Arc<Standing>>>,
}

impl Front {
    /// Room for so many bytes; nothing is kept for 0.
    pub(super) fn new(bytes: usize) -> Option<Self> {
        if bytes == 0 {
            return None;
        }
        let sets = (bytes / TYPICAL / WAYS).max(1).next_power_of_two();
        Some(Self {
            sets: (0..sets).map(|_| Set::default()).collect(),
            budget: bytes,
            weight: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
            due_at: AtomicI64::new(i64::MIN),
            newest: Mutex::default(),
        })
    }

    /// The set, unless another thread holds it: then the slow way is as good.
    fn set(&self, number: usize) -> Option<MutexGuard<'_, Ways>> {
        let set = self.sets.get(number & (self.sets.len() - 1))?;
        set.0.try_lock().ok()
    }

    /// What was decided about the same, to be compared with how things stand now.
    #[inline]
    pub(super) fn get(&self, asked: Digest, now: Timestamp) -> Option<Arc<Whole>> {
        let due_at = self.due_at.load(Ordering::Relaxed);
        // At once if the clock was set back.
        if now.as_unix_micros() >= due_at || due_at > (now + SWEEP_EVERY).as_unix_micros() {
            self.sweep_if_due(due_at, now);
        }
        let (number, tag) = asked.place();
        let ways = self.set(number)?;
        let at = ways.tags.iter().position(|known| *known == tag)?;
        let whole = ways.decided.get(at)?.as_ref()?;
        (whole.memo.as_ref()?.asked == asked).then(|| Arc::clone(whole))
    }

    /// One value for decisions of which the authenticators said the same.
    pub(super) fn share(&self, standing: Standing) -> Arc<Standing> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*newest {
            Some(same) if **same == standing => Arc::clone(same),
            _ => Arc::clone(newest.insert(Arc::new(standing))),
        }
    }

    /// Keeps a decision that has a memo, unless it is too large.
    pub(super) fn keep(&self, whole: &Arc<Whole>, now: Timestamp) {
        let weight = weight(whole);
        let place = whole.memo.as_ref().map(|memo| memo.asked.place());
        let Some((number, tag)) = place.filter(|_| weight <= self.budget / SHARE) else {
            return;
        };
        let Some(mut ways) = self.set(number) else {
            return;
        };
        let free = |ways: &Ways| {
            let same = ways.tags.iter().position(|known| *known == tag);
            same.or_else(|| ways.decided.iter().position(Option::is_none))
        };
        let at = free(&ways).unwrap_or_else(|| {
            ways.next = ways.next.wrapping_add(1);
            usize::from(ways.next) % WAYS
        });
        let Ways {
            tags,
            decided: kept,
            ..
        } = &mut *ways;
        let (Some(known), Some(kept)) = (tags.get_mut(at), kept.get_mut(at)) else {
            return;
        };
        *known = tag;
        let before = kept.replace(Arc::clone(whole));
        drop(ways);
        self.weight.fetch_add(weight, Ordering::Relaxed);
        self.forget(before);
        self.sweep(2, now);
        // What is in the way of new decisions goes, wherever the hand stands.
        for _ in 0..self.sets.len() {
            if self.weight.load(Ordering::Relaxed) <= self.budget {
                break;
            }
            self.clear_next(|_| true);
        }
    }

    #[cold]
    fn sweep_if_due(&self, due_at: i64, now: Timestamp) {
        let next = (now + SWEEP_EVERY).as_unix_micros();
        let order = Ordering::Relaxed;
        if self
            .due_at
            .compare_exchange(due_at, next, order, order)
            .is_ok()
        {
            self.sweep(SWEPT_AT_ONCE, now);
        }
    }

    fn sweep(&self, sets: usize, now: Timestamp) {
        for _ in 0..sets.min(self.sets.len()) {
            let is_over = |whole: &Whole| whole.memo.as_ref().is_none_or(|memo| memo.until <= now);
            self.clear_next(is_over);
        }
    }

    /// Forgets decisions of the set at which the hand stands, and moves it on.
    fn clear_next(&self, is_over: impl Fn(&Whole) -> bool) {
        let number = self.hand.fetch_add(1, Ordering::Relaxed);
        let Some(mut ways) = self.set(number) else {
            return;
        };
        let over = ways
            .decided
            .each_mut()
            .map(|kept| kept.take_if(|decided| is_over(decided)));
        drop(ways);
        over.into_iter().for_each(|decided| self.forget(decided));
    }

    fn forget(&self, whole: Option<Arc<Whole>>) {
        if let Some(whole) = whole {
            self.weight.fetch_sub(weight(&whole), Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
