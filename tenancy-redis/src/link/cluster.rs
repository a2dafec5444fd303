//! A cluster: connections of our own to its masters, and the map that says which of them has a slot.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    Waits,
    address::Seeds,
    breaker::Breaker,
    failure::{Failure, Mend},
    member::{Member, PAUSE},
    node::{Node, Question},
    slots::{self, Place, Range, SLOTS},
};
use crate::RedisErrorKind;

/// After how long the map is read again although nobody complained.
const OLD: Duration = Duration::from_secs(30);

/// How long the map is not read again after it was read, whatever is said of it.
const FRESH: Duration = Duration::from_millis(100);

/// How long a node is kept to which a slot is on its way, although the map does not name it yet.
const NAMED: Duration = Duration::from_secs(60);

/// The masters of a cluster. Cheap to clone.
#[derive(Clone)]
pub(super) struct Cluster(Arc<Inner>);

struct Inner {
    seeds: Arc<Seeds>,
    waits: Waits,
    map: RwLock<Option<Arc<Map>>>,
    known: Mutex<HashMap<Place, Known>>,
    reading: Mutex<Reading>,
    /// For the time in which there is no map.
    entry: Breaker,
    /// Whose turn it is where any will do.
    turn: AtomicUsize,
}

struct Known {
    member: Arc<Member>,
    /// When a redirection named it.
    named: Option<Instant>,
}

/// Which master has a slot.
pub(super) struct Map {
    ranges: Vec<(u16, u16, Arc<Member>)>,
    masters: Vec<Arc<Member>>,
    read: Instant,
}

#[derive(Default)]
struct Reading {
    /// In a task of its own, so that it goes on when those who wait for it give up.
    running: Option<watch::Receiver<Option<Outcome>>>,
    last: Option<Instant>,
}

type Outcome = Result<Arc<Map>, Failure>;

impl Map {
    fn of(&self, slot: u16) -> Option<&Arc<Member>> {
        let after = self.ranges.partition_point(|(first, ..)| *first <= slot);
        let (_, last, member) = self.ranges.get(after.checked_sub(1)?)?;
        (slot <= *last).then_some(member)
    }

    pub(super) fn masters(&self) -> &[Arc<Member>] {
        &self.masters
    }

    /// A slot that no node has.
    pub(super) fn hole(&self) -> Option<u16> {
        let mut next = 0;
        for (first, last, _) in &self.ranges {
            if *first > next {
                return Some(next);
            }
            next = next.max(last + 1);
        }
        (next < SLOTS).then_some(next)
    }
}

impl Cluster {
    pub(super) fn new(seeds: Arc<Seeds>, waits: Waits) -> Self {
        Self(Arc::new(Inner {
            seeds,
            waits,
            map: RwLock::new(None),
            known: Mutex::new(HashMap::new()),
            reading: Mutex::new(Reading::default()),
            entry: Breaker::new(PAUSE),
            turn: AtomicUsize::new(0),
        }))
    }

    /// The master that has a key's slot; without a key, one that answers.
    pub(super) async fn member(&self, key: Option<&[u8]>) -> Result<Arc<Member>, Failure> {
        let map = match self.0.map() {
            Some(map) => map,
            None if self.0.entry.admits(Instant::now()) => self.read(None).await?,
            None => {
                let why = "it has not answered just before";
                return Err(Failure::unavailable(why, Mend::Nothing));
            }
        };
        if map.read.elapsed() > OLD {
            self.read_soon(None);
        }
        let member = match key {
            Some(key) => map.of(slots::of_key(key)),
            None => {
                let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
                let mut masters = map
                    .masters
                    .iter()
                    .cycle()
                    .skip(turn % map.masters.len().max(1));
                let mut all = masters.by_ref().take(map.masters.len());
                all.find(|member| !member.breaker.is_open())
                    .or_else(|| masters.next())
            }
        };
        member.cloned().ok_or_else(|| {
            self.read_soon(None);
            Failure::unavailable("no node of the cluster has the slot", Mend::Wait)
        })
    }

    /// The node that another one names, which was asked at `by`.
    pub(super) fn named(&self, node: &str, by: &Member) -> Result<Arc<Member>, Failure> {
        let asked = by.place.as_ref().map_or("", |place| &place.host);
        let place = Place::parse(node, asked).ok_or_else(|| {
            let why = "it sends the question to a node that has no address";
            Failure::unavailable(why, Mend::Wait)
        })?;
        let mut known = self.0.known();
        let member = self.0.known_at(&mut known, &place)?;
        if let Some(known) = known.get_mut(&place) {
            known.named = Some(Instant::now());
        }
        Ok(member)
    }

    /// Whether no master is known to answer.
    pub(super) fn is_down(&self) -> bool {
        match self.0.map() {
            Some(map) => map.masters.iter().all(|member| member.breaker.is_open()),
            None => self.0.entry.is_open(),
        }
    }

    /// Reads the map again, for whoever asks after this, unless that was done just now. `at` knows best.
    pub(super) fn read_soon(&self, at: Option<Arc<Member>>) {
        let mut reading = self.0.reading();
        let is_fresh = reading.last.is_some_and(|last| last.elapsed() < FRESH);
        if reading.running.is_none() && !is_fresh {
            self.start(&mut reading, at);
        }
    }

    /// Reads the map, or waits for whoever does.
    pub(super) async fn read(&self, at: Option<Arc<Member>>) -> Outcome {
        let mut outcome = {
            let mut reading = self.0.reading();
            match &reading.running {
                Some(running) => running.clone(),
                None => self.start(&mut reading, at),
            }
        };
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The runtime of the task has ended.
            _ => {
                self.0.reading().running = None;
                let why = "the map of the cluster was not read";
                Err(Failure::unavailable(why, Mend::Reconnect))
            }
        }
    }

    fn start(
        &self,
        reading: &mut Reading,
        at: Option<Arc<Member>>,
    ) -> watch::Receiver<Option<Outcome>> {
        let (told, outcome) = watch::channel(None);
        reading.running = Some(outcome.clone());
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let read = inner.read(at).await;
            {
                let mut reading = inner.reading();
                reading.running = None;
                reading.last = Some(Instant::now());
            }
            match &read {
                Ok(_) => drop(inner.entry.answered()),
                Err(failure) => {
                    inner.entry.failed(Instant::now());
                    tracing::warn!(error = %failure.error, "no node says what the Redis Cluster is made of");
                }
            }
            drop(told.send(Some(read)));
        });
        outcome
    }
}

/// A node that may know the map.
struct Source {
    host: Arc<str>,
    node: Node,
}

impl Inner {
    fn map(&self) -> Option<Arc<Map>> {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Place, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one at this place, which may be new.
    fn known_at(
        &self,
        known: &mut HashMap<Place, Known>,
        place: &Place,
    ) -> Result<Arc<Member>, Failure> {
        if let Some(known) = known.get(place) {
            return Ok(Arc::clone(&known.member));
        }
        let address = self.seeds.node(place)?;
        let member = Arc::new(Member::new(address, self.waits, Some(place.clone())));
        let new = Known {
            member: Arc::clone(&member),
            named: None,
        };
        known.insert(place.clone(), new);
        Ok(member)
    }

    /// Asks one node after another, each while those before it are still waited for.
    async fn read(&self, at: Option<Arc<Member>>) -> Outcome {
        let mut left = self.sources(at).into_iter();
        let mut asked = FuturesUnordered::new();
        let mut worst: Option<Failure> = None;
        loop {
            let is_last = match left.next() {
                Some(source) => {
                    asked.push(self.ask(source));
                    false
                }
                None => true,
            };
            let answer = if is_last {
                asked.next().await
            } else {
                match timeout(self.waits.answer, asked.next()).await {
                    Ok(answer) => answer,
                    Err(_) => continue,
                }
            };
            match answer {
                Some(Ok(ranges)) => return self.learn(ranges),
                Some(Err(failure)) => {
                    // One that says no says more than one that says nothing.
                    let says_more = failure.error.kind() != RedisErrorKind::Unavailable;
                    if worst.is_none() || says_more {
                        worst = Some(failure);
                    }
                }
                None => {
                    let why = "no node of the cluster is known";
                    return Err(worst.unwrap_or_else(|| Failure::unavailable(why, Mend::Reconnect)));
                }
            }
        }
    }

    /// Whom to ask for the map: whoever is said to know, masters that answer, other masters, and those of the start.
    fn sources(&self, at: Option<Arc<Member>>) -> Vec<Source> {
        let mut members: Vec<_> = at.into_iter().collect();
        if let Some(map) = self.map() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % map.masters.len().max(1);
            let around = map.masters.iter().cycle().skip(turn);
            let around = around.take(map.masters.len());
            let (silent, well): (Vec<_>, Vec<_>) =
                around.cloned().partition(|member| member.breaker.is_open());
            members.extend(well);
            members.extend(silent);
        }
        let mut sources = Vec::new();
        for member in members {
            if let Some(place) = &member.place {
                sources.push(Source {
                    host: Arc::clone(&place.host),
                    node: member.node.clone(),
                });
            }
        }
        for (host, address) in self.seeds.all() {
            sources.push(Source {
                host,
                node: Node::new(address, self.waits),
            });
        }
        sources
    }

    async fn ask(&self, source: Source) -> Result<Vec<Range>, Failure> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let deadline = Instant::now() + self.waits.connect + self.waits.answer;
        let question = Question::of(&command);
        let answer = source.node.put(&question, false, deadline).await?;
        let ranges = slots::parse(&answer, &source.host).ok_or_else(|| Failure {
            error: crate::RedisError::unexpected("its map of the cluster can't be read"),
            mend: Mend::Nothing,
        })?;
        if ranges.is_empty() {
            let why = "it is alone: no node of its cluster has a slot";
            return Err(Failure::unavailable(why, Mend::Wait));
        }
        Ok(ranges)
    }

    /// Makes it the map. Nodes that it does not name are forgotten.
    fn learn(&self, ranges: Vec<Range>) -> Outcome {
        let mut known = self.known();
        let mut map = Map {
            ranges: Vec::with_capacity(ranges.len()),
            masters: Vec::new(),
            read: Instant::now(),
        };
        for Range {
            first,
            last,
            master,
        } in ranges
        {
            let member = self.known_at(&mut known, &master)?;
            if !map.masters.iter().any(|each| Arc::ptr_eq(each, &member)) {
                map.masters.push(Arc::clone(&member));
            }
            map.ranges.push((first, last, member));
        }
        known.retain(|_, known| {
            let is_named = known.named.is_some_and(|named| named.elapsed() < NAMED);
            is_named
                || map
                    .masters
                    .iter()
                    .any(|each| Arc::ptr_eq(each, &known.member))
        });
        let map = Arc::new(map);
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&map));
        Ok(map)
    }
}
