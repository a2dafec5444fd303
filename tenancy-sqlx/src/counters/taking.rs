//! Taking: everything or nothing, across memory, what is in hand, and the database.

use std::sync::Arc;

use tenancy_core::{
    Timestamp,
    quota::{
        Algorithm, CountersError, Counting, Crossed, Denied, Granted, MAX_AMOUNT, Operation,
        OwnedTake, Settle, Settled, Standing, Standings, Take, Taken,
    },
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    Inner,
    cells::{Verdict, denial},
    lease::OfPeriod,
    parts::{Part, Parts},
    store::{GivesBack, Reserved},
};

/// The answer of counters that answer at once.
pub(super) fn at_once<T>(answer: Counting<T>) -> Result<T, CountersError> {
    match answer {
        Counting::Ready(answer) => answer,
        Counting::Pending(_) => Err(CountersError::unavailable("memory has no answer")),
    }
}

impl Inner {
    /// Takes of memory and of what is in hand; `None` if the database has to be asked.
    pub(super) fn take_in_hand(
        &self,
        operation: Operation,
        takes: &[Take<'_>],
        parts: &Parts,
        now: Timestamp,
    ) -> Option<Result<Taken, CountersError>> {
        let mut cells = self.cells();
        if cells.is_closed {
            return None;
        }
        let mut denied = Vec::new();
        for place in parts.places(Part::Period) {
            let take = takes.get(place)?;
            let Algorithm::Period(ceiling, window) = take.algorithm else {
                return None;
            };
            let cell = cells.get(&take.holder, take.limit, &window)?;
            match cell.verdict(&ceiling, take.amount, now) {
                Verdict::Enough => {}
                Verdict::Denied(denial) => denied.push(Denied::new(place, denial)),
                Verdict::Unknown => return None,
            }
        }
        let places: Vec<_> = parts.places(Part::Local).collect();
        let local: Vec<_> = places
            .iter()
            .filter_map(|place| takes.get(*place).copied())
            .collect();
        let mut of_local = Granted::default();
        if !local.is_empty() {
            match at_once(self.others.take(operation, &local, now)) {
                Err(error) => return Some(Err(error)),
                Ok(Taken::Granted(granted)) => of_local = granted,
                Ok(Taken::Denied(each)) => denied.extend(placed(each, &places)),
            }
        }
        if !denied.is_empty() {
            if denied.iter().all(|one| !places.contains(&one.take)) && !local.is_empty() {
                // They are at hand.
                drop(self.undo_local(operation, &local, now));
            }
            denied.sort_by_key(|one| one.take);
            return Some(Ok(Taken::Denied(denied)));
        }
        let mut granted = Granted::default();
        let mut of_local = of_local.standings.iter();
        for (place, take) in takes.iter().enumerate() {
            let Algorithm::Period(ceiling, window) = take.algorithm else {
                granted
                    .standings
                    .push(of_local.next().copied().unwrap_or_default());
                continue;
            };
            // The lock is held, so that what was found still holds.
            if let Some(cell) = cells.get(&take.holder, take.limit, &window) {
                cell.consume(take.amount);
                granted.standings.push(cell.standing(&ceiling, now));
                let crossed = std::mem::take(&mut cell.crossed);
                granted
                    .crossed
                    .extend((crossed > 0).then(|| Crossed::new(place, crossed)));
            }
        }
        Some(Ok(Taken::Granted(granted)))
    }

    /// Gives back what was taken of the others, by a task if they do not answer at once.
    fn undo_local(
        &self,
        operation: Operation,
        local: &[Take<'_>],
        now: Timestamp,
    ) -> Option<JoinHandle<()>> {
        let all: Vec<_> = local.iter().map(|take| Settle::new(*take, 0)).collect();
        let undone = self.others.settle(operation, &all, now);
        if matches!(undone, Counting::Ready(Ok(_))) {
            return None;
        }
        Some(self.runtime.spawn(async move {
            if let Err(error) = undone.answer().await {
                tracing::debug!(%error, "what nobody waits for could not be given back, and ends by itself");
            }
        }))
    }

    /// Takes of memory first, because a request that memory refuses must not cost the database anything; then of
    /// periods; then of what is held. What was taken is undone where the next one refuses, and where the caller leaves.
    pub(super) async fn take_asking(
        self: Arc<Self>,
        operation: Operation,
        takes: Vec<OwnedTake>,
        parts: Parts,
        now: Timestamp,
    ) -> Result<Taken, CountersError> {
        let deadline = Instant::now() + self.patience;
        let local = Local::take(&self, operation, &takes, &parts, now);
        let (local, mut denied) = match timeout_at(deadline, local).await {
            Ok(taken) => taken?,
            Err(_) => {
                return Err(CountersError::unavailable(
                    "the other counters do not answer",
                ));
            }
        };
        let is_refused = !denied.is_empty();
        if is_refused {
            denied.extend(self.would_refuse(&takes, &parts, now).await?);
        }
        let mut in_hand = None;
        if !is_refused {
            in_hand = loop {
                let before = denied.len();
                for (place, take) in of_part(&takes, &parts, Part::Period) {
                    let Some(of) = OfPeriod::of(take) else {
                        continue;
                    };
                    let refuses = self.have_in_hand(of, take.amount, now, deadline).await?;
                    denied.extend(refuses.map(|denial| Denied::new(place, denial)));
                }
                if denied.len() > before {
                    break None;
                }
                if let Some(in_hand) = InHand::use_up(&self, &takes, &parts, now) {
                    break Some(in_hand);
                }
                if Instant::now() >= deadline {
                    return Err(CountersError::unavailable("others were quicker each time"));
                }
            };
        }
        let held: Vec<_> = of_part(&takes, &parts, Part::Held).collect();
        let asks = operation.is_repeatable() || (!held.is_empty() && !is_refused);
        let mut reservation = None;
        if asks {
            let looks_only = !denied.is_empty();
            let used = of_part(&takes, &parts, Part::Period);
            let about = Asked {
                held: held.iter().map(|(_, take)| (*take).clone()).collect(),
                used: used.map(|(_, take)| take.clone()).collect(),
            };
            let asked = self.reserve(operation, about, looks_only, now).await?;
            if asked.reserved.is_repeated {
                drop(in_hand.take());
                local.undo().await;
                let granted = self.repeated(&takes, &parts, &asked.reserved, now).await;
                return granted.map(Taken::Granted);
            }
            for ((place, take), one) in held.iter().zip(&asked.reserved.each) {
                if one.is_denied && !denied.iter().any(|other| other.take == *place) {
                    denied.push(Denied::new(*place, held_denial(take, one.used)));
                }
            }
            reservation = Some(asked);
        }
        if !denied.is_empty() {
            local.undo().await;
            denied.sort_by_key(|one| one.take);
            return Ok(Taken::Denied(denied));
        }
        Ok(Taken::Granted(keep(&takes, local, in_hand, reservation)))
    }

    /// Which of the limits that are not counted in memory would refuse too. What was seen a moment ago is not asked
    /// again, so that a flood of refused requests does not become one of questions.
    async fn would_refuse(
        self: &Arc<Self>,
        takes: &[OwnedTake],
        parts: &Parts,
        now: Timestamp,
    ) -> Result<Vec<Denied>, CountersError> {
        let (mut denied, mut unknown) = (Vec::new(), Vec::new());
        {
            let mut cells = self.cells();
            for (place, take) in of_part(takes, parts, Part::Period) {
                let Some(of) = OfPeriod::of(take) else {
                    continue;
                };
                let cell = cells.get(of.holder, of.limit, &of.window);
                match cell.map(|cell| cell.verdict(&of.ceiling, take.amount, now)) {
                    Some(Verdict::Enough) => {}
                    Some(Verdict::Denied(denial)) => denied.push(Denied::new(place, denial)),
                    Some(Verdict::Unknown) | None => unknown.push(place),
                }
            }
            unknown.extend(parts.places(Part::Held));
            unknown.retain(|place| {
                let Some(take) = takes.get(*place) else {
                    return false;
                };
                let name = seen_name(take);
                match cells.seen(&take.holder, &name, now) {
                    Some(used) if refuses(take, used) => {
                        denied.push(Denied::new(*place, held_denial(take, used)));
                        false
                    }
                    Some(_) => false,
                    None => true,
                }
            });
        }
        if unknown.is_empty() {
            return Ok(denied);
        }
        let standings = self.look(takes, &unknown, now).await?;
        for (place, standing) in unknown.into_iter().zip(standings) {
            let Some(take) = takes.get(place) else {
                continue;
            };
            let mut cells = self.cells();
            cells.note_seen(&take.holder, &seen_name(take), standing.used, now);
            if refuses(take, standing.used) {
                denied.push(Denied::new(place, of_standing(take, standing)));
            }
            self.tend(&mut cells);
        }
        Ok(denied)
    }

    /// Where some limits stand.
    pub(super) async fn look(
        self: &Arc<Self>,
        takes: &[OwnedTake],
        places: &[usize],
        now: Timestamp,
    ) -> Result<Vec<Standing>, CountersError> {
        let each: Vec<_> = places
            .iter()
            .filter_map(|place| takes.get(*place))
            .collect();
        let is_local = |take: &&OwnedTake| Part::of(&take.algorithm) == Some(Part::Local);
        let asked: Vec<_> = each
            .iter()
            .copied()
            .filter(|take| !is_local(take))
            .collect();
        let local: Vec<_> = each
            .iter()
            .filter(|take| is_local(take))
            .map(|take| take.take())
            .collect();
        let deadline = Instant::now() + self.patience;
        let mut before = self.quiet(&asked, deadline).await;
        let used = loop {
            let used = self.store.used(&asked, now).await?;
            if let Some(used) = self.less_in_hand(&asked, used, &before, deadline) {
                break used;
            }
            // Something was leased or returned meanwhile.
            before = self.quiet(&asked, deadline).await;
        };
        let mut used = used.into_iter();
        let local = match local.is_empty() {
            true => Standings::default(),
            false => self.others.standings(&local, now).answer().await?,
        };
        let mut local = local.iter();
        let standings = each.iter().map(|take| {
            let mut used = || used.next().unwrap_or_default();
            match take.algorithm {
                Algorithm::Period(ceiling, window) => {
                    Standing::new(ceiling.amount(), used(), Some(window.rest(now)))
                }
                Algorithm::Held(ceiling, _) => Standing::new(ceiling.amount(), used(), None),
                _ => local.next().copied().unwrap_or_default(),
            }
        });
        Ok(standings.collect())
    }

    /// What is used, out of what is debited; `None` if reports have ended since `before`, or are under way.
    fn less_in_hand(
        &self,
        asked: &[&OwnedTake],
        mut debited: Vec<u64>,
        before: &[Option<u64>],
        deadline: Instant,
    ) -> Option<Vec<u64>> {
        let mut cells = self.cells();
        if cells.reports(asked) != before && Instant::now() < deadline {
            return None;
        }
        for (debited, of) in debited
            .iter_mut()
            .zip(asked.iter().map(|take| OfPeriod::of(take)))
        {
            let cell = of.and_then(|of| cells.get(of.holder, of.limit, &of.window));
            let in_hand = cell.map_or(0, |cell| cell.left.saturating_add(cell.returning));
            *debited = debited.saturating_sub(in_hand);
        }
        Some(debited)
    }

    /// Waits until no report about some limits is under way. How many there were of each.
    async fn quiet(&self, asked: &[&OwnedTake], deadline: Instant) -> Vec<Option<u64>> {
        loop {
            let mut changed = {
                let cells = self.cells();
                match cells.under_way(asked) {
                    Some(changed) => changed,
                    None => return cells.reports(asked),
                }
            };
            if timeout_at(deadline, changed.changed()).await.is_err() {
                return Vec::new();
            }
        }
    }

    /// Asks the database to reserve, in a task: what it has done is undone if nobody waits for it any more.
    async fn reserve(
        self: &Arc<Self>,
        operation: Operation,
        about: Asked,
        looks_only: bool,
        now: Timestamp,
    ) -> Result<Reservation, CountersError> {
        let (tell, told) = oneshot::channel();
        let inner = Arc::clone(self);
        self.runtime.spawn(async move {
            let answer = inner
                .store
                .reserve(operation, &about.held, looks_only, now)
                .await;
            {
                let mut cells = inner.cells();
                let held = about.held.iter();
                held.for_each(|take| cells.forget_seen(&take.holder));
            }
            inner.clean_if_due();
            let is_taken = match &answer {
                Ok(reserved) => !reserved.is_repeated && !reserved.is_denied,
                // It may have been done all the same.
                Err(_) => true,
            };
            let mut reservation = Reservation {
                undo: (is_taken && !looks_only).then_some((inner, operation, about, now)),
                reserved: Reserved::default(),
            };
            let answer = answer.map(|reserved| {
                reservation.reserved = reserved;
                reservation
            });
            drop(tell.send(answer));
        });
        match told.await {
            Ok(answer) => answer,
            Err(_) => Err(CountersError::unavailable(
                "the runtime of the counters has ended",
            )),
        }
    }

    /// What is said to an operation that was granted before.
    async fn repeated(
        self: &Arc<Self>,
        takes: &[OwnedTake],
        parts: &Parts,
        reserved: &Reserved,
        now: Timestamp,
    ) -> Result<Granted, CountersError> {
        let asked = {
            let local = of_part(takes, parts, Part::Local).map(|(_, take)| take.take());
            let local: Vec<_> = local.collect();
            (!local.is_empty()).then(|| self.others.standings(&local, now))
        };
        let local = match asked {
            Some(asked) => asked.answer().await?,
            None => Standings::default(),
        };
        let mut in_hand: Vec<_> = {
            let mut cells = self.cells();
            let standing = |take: &OwnedTake| {
                let of = OfPeriod::of(take)?;
                let cell = cells.get(of.holder, of.limit, &of.window)?;
                cell.is_known().then(|| cell.standing(&of.ceiling, now))
            };
            takes.iter().map(standing).collect()
        };
        // What another process has taken, or this one has returned.
        let elsewhere = parts
            .places(Part::Period)
            .filter(|place| matches!(in_hand.get(*place), Some(None)));
        let elsewhere: Vec<_> = elsewhere.collect();
        if !elsewhere.is_empty() {
            let looked = self.look(takes, &elsewhere, now).await?;
            for (place, standing) in elsewhere.into_iter().zip(looked) {
                if let Some(slot) = in_hand.get_mut(place) {
                    *slot = Some(standing);
                }
            }
        }
        let mut local = local.iter();
        let mut held = reserved.each.iter();
        let mut standings = Standings::default();
        for (take, in_hand) in takes.iter().zip(in_hand) {
            standings.push(match take.algorithm {
                Algorithm::Period(..) => in_hand.unwrap_or_default(),
                Algorithm::Held(ceiling, _) => {
                    let used = held.next().map_or(0, |one| one.used);
                    Standing::new(ceiling.amount(), used, None)
                }
                _ => local.next().copied().unwrap_or_default(),
            });
        }
        Ok(Granted::new(standings, Vec::new(), true))
    }
}

/// The takes of one part, with their places.
fn of_part<'a>(
    takes: &'a [OwnedTake],
    parts: &'a Parts,
    part: Part,
) -> impl Iterator<Item = (usize, &'a OwnedTake)> {
    let places = parts.places(part);
    places.filter_map(|place| Some((place, takes.get(place)?)))
}

/// Denials of some of the takes, with the places that these have among all.
fn placed(denied: Vec<Denied>, places: &[usize]) -> impl Iterator<Item = Denied> {
    denied.into_iter().filter_map(|one| {
        let place = places.get(one.take)?;
        Some(Denied::new(*place, one.denial))
    })
}

/// By what name it is remembered what was seen of a limit.
fn seen_name(take: &OwnedTake) -> String {
    match take.algorithm {
        Algorithm::Period(_, window) => format!("{}@{}", take.limit, window.start),
        _ => take.limit.to_string(),
    }
}

fn most(take: &OwnedTake) -> u64 {
    let most = match take.algorithm {
        Algorithm::Period(ceiling, _) | Algorithm::Held(ceiling, _) => ceiling.most(),
        _ => None,
    };
    most.unwrap_or(MAX_AMOUNT)
}

/// Whether a limit of which so much is used refuses a take.
fn refuses(take: &OwnedTake, used: u64) -> bool {
    take.amount > 0
        && used
            .checked_add(take.amount)
            .is_none_or(|sum| sum > most(take))
}

fn held_denial(take: &OwnedTake, used: u64) -> tenancy_core::quota::Denial {
    let included = match take.algorithm {
        Algorithm::Period(ceiling, _) | Algorithm::Held(ceiling, _) => ceiling.amount(),
        _ => 0,
    };
    of_standing(take, Standing::new(included, used, None))
}

fn of_standing(take: &OwnedTake, standing: Standing) -> tenancy_core::quota::Denial {
    denial(standing, most(take), take.amount)
}

/// Keeps what was taken, and says where all limits stand.
fn keep(
    takes: &[OwnedTake],
    local: Local,
    in_hand: Option<InHand>,
    reservation: Option<Reservation>,
) -> Granted {
    let of_local = local.keep();
    let in_hand = in_hand.map(InHand::keep).unwrap_or_default();
    let reserved = reservation.map(Reservation::keep).unwrap_or_default();
    let mut of_local = of_local.iter();
    let mut in_hand = in_hand.into_iter();
    let mut held = reserved.each.into_iter();
    let mut granted = Granted::default();
    for (place, take) in takes.iter().enumerate() {
        let (standing, crossed) = match Part::of(&take.algorithm) {
            Some(Part::Period) => in_hand.next().unwrap_or_default(),
            Some(Part::Held) => {
                let one = held.next().unwrap_or_default();
                let included = match take.algorithm {
                    Algorithm::Held(ceiling, _) => ceiling.amount(),
                    _ => 0,
                };
                (Standing::new(included, one.used, None), one.crossed)
            }
            _ => (of_local.next().copied().unwrap_or_default(), 0),
        };
        granted.standings.push(standing);
        granted
            .crossed
            .extend((crossed > 0).then(|| Crossed::new(place, crossed)));
    }
    granted
}

/// What was taken of memory, or of the other counters. Undone when it is dropped.
struct Local {
    undo: Option<(Arc<Inner>, Operation, Vec<OwnedTake>, Timestamp)>,
    granted: Granted,
}

impl Local {
    /// Takes, or says which refuse. What other counters take for somebody who has gone is undone by a task.
    async fn take(
        inner: &Arc<Inner>,
        operation: Operation,
        takes: &[OwnedTake],
        parts: &Parts,
        now: Timestamp,
    ) -> Result<(Self, Vec<Denied>), CountersError> {
        let nothing = Self {
            undo: None,
            granted: Granted::default(),
        };
        let places: Vec<_> = parts.places(Part::Local).collect();
        if places.is_empty() {
            return Ok((nothing, Vec::new()));
        }
        let local: Vec<_> = of_part(takes, parts, Part::Local)
            .map(|(_, take)| take.clone())
            .collect();
        let asked = {
            let each: Vec<_> = local.iter().map(OwnedTake::take).collect();
            inner.others.take(operation, &each, now)
        };
        let taken = move |taken: Taken, inner: Arc<Inner>| match taken {
            Taken::Granted(granted) => {
                let undo = (!granted.repeated).then_some((inner, operation, local, now));
                Ok(Self { undo, granted })
            }
            Taken::Denied(denied) => Err(denied),
        };
        let taken = match asked {
            Counting::Ready(answer) => taken(answer?, Arc::clone(inner)),
            Counting::Pending(answer) => {
                let (tell, told) = oneshot::channel();
                let of_task = Arc::clone(inner);
                inner.runtime.spawn(async move {
                    let answer = answer.await.map(|answer| taken(answer, of_task));
                    drop(tell.send(answer));
                });
                match told.await {
                    Ok(answer) => answer?,
                    Err(_) => {
                        return Err(CountersError::unavailable(
                            "the runtime of the counters has ended",
                        ));
                    }
                }
            }
        };
        Ok(match taken {
            Ok(local) => (local, Vec::new()),
            Err(denied) => (nothing, placed(denied, &places).collect()),
        })
    }

    /// Gives it back, and waits for that: whoever is told of a denial finds it there again.
    async fn undo(mut self) {
        if let Some(undoing) = self.begin_to_undo() {
            drop(undoing.await);
        }
    }

    fn begin_to_undo(&mut self) -> Option<JoinHandle<()>> {
        let (inner, operation, takes, now) = self.undo.take()?;
        let takes: Vec<_> = takes.iter().map(OwnedTake::take).collect();
        inner.undo_local(operation, &takes, now)
    }

    fn keep(mut self) -> Standings {
        self.undo = None;
        std::mem::take(&mut self.granted.standings)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        drop(self.begin_to_undo());
    }
}

/// What was used of what is in hand. Put back when it is dropped.
struct InHand {
    undo: Option<(Arc<Inner>, Vec<OwnedTake>)>,
    standings: Vec<(Standing, u8)>,
}

impl InHand {
    /// Uses all of it, or nothing.
    fn use_up(
        inner: &Arc<Inner>,
        takes: &[OwnedTake],
        parts: &Parts,
        now: Timestamp,
    ) -> Option<Self> {
        let mut cells = inner.cells();
        let mut of_period = Vec::new();
        for (_, take) in of_part(takes, parts, Part::Period) {
            let of = OfPeriod::of(take)?;
            let cell = cells.get(of.holder, of.limit, &of.window)?;
            if !matches!(cell.verdict(&of.ceiling, take.amount, now), Verdict::Enough) {
                return None;
            }
            of_period.push(take.clone());
        }
        let mut standings = Vec::new();
        for take in &of_period {
            let of = OfPeriod::of(take)?;
            // The lock is held, so that what was found still holds.
            if let Some(cell) = cells.get(of.holder, of.limit, &of.window) {
                cell.consume(take.amount);
                let crossed = std::mem::take(&mut cell.crossed);
                standings.push((cell.standing(&of.ceiling, now), crossed));
            }
        }
        Some(Self {
            undo: Some((Arc::clone(inner), of_period)),
            standings,
        })
    }

    fn keep(mut self) -> Vec<(Standing, u8)> {
        self.undo = None;
        std::mem::take(&mut self.standings)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let Some((inner, takes)) = self.undo.take() else {
            return;
        };
        let mut cells = inner.cells();
        for (take, (_, crossed)) in takes.iter().zip(&self.standings) {
            let Some(of) = OfPeriod::of(take) else {
                continue;
            };
            if let Ok(cell) = cells.get_or_make(of.holder, of.limit, &of.window) {
                cell.put_back(take.amount);
                cell.crossed = cell.crossed.max(*crossed);
            }
        }
    }
}

/// What an operation asks the database about.
struct Asked {
    held: Vec<OwnedTake>,
    /// What it has used of periods, which are in hand.
    used: Vec<OwnedTake>,
}

/// What was reserved in the database. Released when it is dropped.
struct Reservation {
    undo: Option<(Arc<Inner>, Operation, Asked, Timestamp)>,
    reserved: Reserved,
}

impl Reservation {
    fn keep(mut self) -> Reserved {
        self.undo = None;
        std::mem::take(&mut self.reserved)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Some((inner, operation, Asked { held, used }, now)) = self.undo.take() else {
            return;
        };
        let runtime = inner.runtime.clone();
        runtime.spawn(async move {
            let gives_back = match held.is_empty() {
                true => GivesBack::AllUnlessShared,
                false => GivesBack::All,
            };
            let all: Vec<_> = held.into_iter().map(|take| (take, 0)).collect();
            match inner.store.settle(operation, &all, gives_back, now).await {
                // A repetition was admitted meanwhile, with what has been put back here.
                Ok(Settled::Repeated) => {
                    let unpaid = used.into_iter().map(|mut take| {
                        let actual = std::mem::take(&mut take.amount);
                        (take, actual)
                    });
                    let unpaid: Vec<_> = unpaid.collect();
                    if inner.settle_periods(&unpaid) {
                        let takes: Vec<_> = unpaid.into_iter().map(|(take, _)| take).collect();
                        inner.report_dirty(&takes, now).await;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "a reservation that nobody waits for ends by itself");
                }
            }
        });
    }
}
