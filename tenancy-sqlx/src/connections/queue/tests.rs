//! The queue against a simple account of who waits and who holds what.

use std::collections::{BTreeMap, VecDeque};

use proptest::{collection::vec, prelude::*, test_runner::FileFailurePersistence};

use super::*;

fn tenant(number: u128) -> Option<TenantId> {
    Some(TenantId::from_uuid(sqlx::types::Uuid::from_u128(number)))
}

fn lane(number: u128, most: usize, turn: u32) -> Lane {
    Lane {
        tenant: tenant(number),
        allowance: Allowance { most, turn },
    }
}

/// A connection, and whom its session names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Connection {
    id: u32,
    names: Option<TenantId>,
}

/// What happens to a pool. Numbers choose among what there is at the moment.
#[derive(Debug, Clone)]
enum Event {
    /// Number 0 is the house, which may have everything.
    Arrives(u8),
    /// From now on, a tenant comes with another allowance.
    IsAllowed(u8, Allowance),
    GivesUp(usize),
    ComesBack(usize),
    Dies(usize),
    Opens,
    OpensNot {
        refuses: bool,
    },
    KeepsOpen(usize),
    Expires(u32),
    IsExpired,
    Closes,
}

const TENANTS: u8 = 6;

fn allowance() -> impl Strategy<Value = Allowance> {
    let most = prop_oneof![Just(usize::MAX), 1..4_usize];
    (most, 1..7_u32).prop_map(|(most, turn)| Allowance { most, turn })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..TENANTS).prop_map(Event::Arrives),
        1 => (1..TENANTS, allowance()).prop_map(|(number, allowance)| Event::IsAllowed(number, allowance)),
        4 => any::<usize>().prop_map(Event::GivesUp),
        8 => any::<usize>().prop_map(Event::ComesBack),
        2 => any::<usize>().prop_map(Event::Dies),
        5 => Just(Event::Opens),
        2 => any::<bool>().prop_map(|refuses| Event::OpensNot { refuses }),
        1 => (0..4_usize).prop_map(Event::KeepsOpen),
        1 => (0..20_u32).prop_map(Event::Expires),
        1 => Just(Event::IsExpired),
    ]
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..ProptestConfig::default()
    }
}

/// How many grants a tenant may have to wait for, and how many there were.
#[derive(Debug, Clone, Copy)]
struct Patience {
    may_wait: usize,
    waited: usize,
}

/// How many are served while turns of so many callers go round: before and after its turn, a tenant is
/// served as many ahead of it as in it, and each of these may follow a newcomer.
fn per_round(callers: usize) -> usize {
    2 * 3 * callers + 2
}

struct Account {
    queue: Queue<Connection, u32>,
    most: usize,
    ahead: usize,
    /// What a tenant says when it comes.
    plans: BTreeMap<Option<TenantId>, Allowance>,
    /// What it said when it last came.
    allowed: BTreeMap<Option<TenantId>, Allowance>,
    waiting: BTreeMap<Option<TenantId>, VecDeque<(u32, Ticket)>>,
    lent: Vec<(Lane, Connection)>,
    /// In the order in which they came back.
    idle: Vec<Connection>,
    expired: Vec<Connection>,
    opening: usize,
    patience: BTreeMap<Option<TenantId>, Patience>,
    house_grants_in_a_row: usize,
    next_id: u32,
    now: Instant,
}

impl Account {
    fn new(most: usize, ahead: usize, allowances: &[Allowance]) -> Self {
        let tenants = (1..).map(tenant).zip(allowances.iter().copied());
        let plans: BTreeMap<_, _> = tenants.chain([(None, Allowance::ALL)]).collect();
        Self {
            queue: Queue::new(most, |connection| connection.names),
            most,
            ahead,
            allowed: plans.clone(),
            plans,
            waiting: BTreeMap::new(),
            lent: Vec::new(),
            idle: Vec::new(),
            expired: Vec::new(),
            opening: 0,
            patience: BTreeMap::new(),
            house_grants_in_a_row: 0,
            next_id: 0,
            now: Instant::now(),
        }
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn held(&self, tenant: Option<TenantId>) -> usize {
        let lent = self.lent.iter();
        lent.filter(|(lane, _)| lane.tenant == tenant).count()
    }

    fn may_have_more(&self, tenant: Option<TenantId>) -> bool {
        self.held(tenant) < self.allowed[&tenant].most
    }

    /// Those with waiters who may be served.
    fn eligible(&self) -> Vec<Option<TenantId>> {
        let waiting = self.waiting.keys().copied();
        waiting
            .filter(|tenant| self.may_have_more(*tenant))
            .collect()
    }

    /// How many waiters may be served.
    fn demand(&self) -> usize {
        let demand = self.waiting.iter().map(|(tenant, line)| {
            let more = self.allowed[tenant].most.saturating_sub(self.held(*tenant));
            line.len().min(more)
        });
        demand.sum()
    }

    fn leaves(&mut self, tenant: Option<TenantId>, at: usize) {
        let line = self.waiting.get_mut(&tenant).unwrap();
        line.remove(at).unwrap();
        if line.is_empty() {
            self.waiting.remove(&tenant);
        }
    }

    /// Somebody comes on a tenant's behalf: nobody else has to wait for more than its longer turn.
    fn is_allowed(&mut self, tenant: Option<TenantId>) -> Lane {
        let allowance = self.plans[&tenant];
        let before = self.allowed.insert(tenant, allowance).unwrap();
        let more = allowance.turn.saturating_sub(before.turn);
        for (other, patience) in &mut self.patience {
            if *other != tenant {
                patience.may_wait += per_round(usize::try_from(more).unwrap());
            }
        }
        Lane { tenant, allowance }
    }

    /// Somebody has had a turn: the first of a line, and no tenant has waited for too many.
    fn served(&mut self, tenant: Option<TenantId>, waiter: u32) {
        assert!(self.may_have_more(tenant), "{tenant:?} is at its cap");
        assert_eq!(self.waiting[&tenant].front().unwrap().0, waiter);
        let tenants_wait = self.eligible().iter().any(Option::is_some);
        if tenant.is_none() {
            self.house_grants_in_a_row += 1;
            assert!(!tenants_wait || self.house_grants_in_a_row <= 1);
        } else {
            self.house_grants_in_a_row = 0;
            for (other, patience) in &mut self.patience {
                if *other != tenant {
                    patience.waited += 1;
                    assert!(
                        patience.waited <= patience.may_wait,
                        "{other:?}: {patience:?}"
                    );
                }
            }
            self.patience.remove(&tenant);
        }
        self.leaves(tenant, 0);
    }

    fn granted(&mut self, grant: Option<Grant<Connection, u32>>) {
        if let Some(grant) = grant {
            let tenant = grant.lane.tenant;
            assert_eq!(grant.lane.allowance, self.allowed[&tenant]);
            self.served(tenant, grant.waiter);
            assert_eq!(self.idle.pop(), Some(grant.connection));
            self.lent.push((grant.lane, grant.connection));
        }
    }

    /// Of those whose session names the tenant, or else nobody, the one that came back last; else the
    /// first of all.
    fn taken(&mut self, tenant: Option<TenantId>, connection: Connection) {
        let naming = |name| self.idle.iter().rposition(|idle| idle.names == name);
        let at = naming(tenant).or_else(|| naming(None)).unwrap_or(0);
        assert_eq!(self.idle.remove(at), connection);
    }

    fn happens(&mut self, event: &Event) {
        let closed = self.queue.is_closed();
        match *event {
            Event::Arrives(_) if closed => {}
            Event::Arrives(number) => {
                let tenant = tenant(number.into()).filter(|_| number > 0);
                let lane = self.is_allowed(tenant);
                let taken = self.queue.take(lane, |idle| idle.names == tenant);
                if let Some(connection) = taken {
                    assert!(self.eligible().is_empty(), "somebody was passed over");
                    assert!(self.may_have_more(tenant));
                    self.taken(tenant, connection);
                    self.lent.push((lane, connection));
                    self.house_grants_in_a_row = usize::from(tenant.is_none());
                } else {
                    let waiter = self.id();
                    let ticket = self.queue.wait(lane, waiter, self.now);
                    let line = self.waiting.entry(tenant).or_default();
                    line.push_back((waiter, ticket));
                    self.patience_begins();
                    while let Some(grant) = self.queue.settle() {
                        self.granted(Some(grant));
                    }
                }
                self.opens_more(self.ahead);
                let unused = self.queue.idle() + self.opening;
                let wanted = self.demand() + self.ahead;
                let is_full = self.queue.open() == self.most;
                assert!(unused >= wanted || is_full, "none is opened ahead");
            }
            Event::IsAllowed(number, allowance) => {
                self.plans.insert(tenant(number.into()), allowance);
            }
            Event::GivesUp(which) => {
                let all = self.waiting.iter().flat_map(|(tenant, line)| {
                    line.iter().enumerate().map(|(at, one)| (*tenant, at, *one))
                });
                let all = all.collect::<Vec<_>>();
                let Some((tenant, at, (waiter, ticket))) = pick(&all, which) else {
                    return;
                };
                assert_eq!(self.queue.give_up(ticket), Some(waiter));
                assert_eq!(self.queue.give_up(ticket), None);
                self.leaves(tenant, at);
            }
            Event::ComesBack(which) if !closed => {
                let Some((lane, mut connection)) = pick(&self.lent, which) else {
                    return;
                };
                self.lent.retain(|(_, other)| *other != connection);
                connection.names = lane.tenant;
                self.idle.push(connection);
                let grant = self.queue.back(Some(lane), connection, self.now);
                self.granted(grant);
            }
            Event::ComesBack(which) | Event::Dies(which) => {
                let Some((lane, connection)) = pick(&self.lent, which) else {
                    return;
                };
                self.lent.retain(|(_, other)| *other != connection);
                let grant = self.queue.gone(Some(lane), self.now);
                self.granted(grant);
            }
            Event::Opens if self.opening > 0 && !closed => {
                self.opening -= 1;
                let connection = Connection {
                    id: self.id(),
                    names: None,
                };
                self.idle.push(connection);
                let grant = self.queue.opened(connection);
                self.granted(grant);
            }
            Event::Opens | Event::OpensNot { .. } if self.opening > 0 => {
                self.opening -= 1;
                self.queue.not_opened();
                if !closed && matches!(event, Event::OpensNot { refuses: true }) {
                    if let Some(refused) = self.queue.refuse() {
                        let mut lines = self.waiting.iter();
                        let line = lines.find(|(_, line)| line.front().unwrap().0 == refused);
                        let tenant = *line.unwrap().0;
                        self.served(tenant, refused);
                    } else {
                        assert!(self.eligible().is_empty());
                    }
                }
            }
            Event::Opens | Event::OpensNot { .. } => {}
            Event::KeepsOpen(least) => {
                while self.queue.take_right_below(least) {
                    self.opening += 1;
                }
            }
            Event::Expires(age) => {
                let oldest = self.next_id.saturating_sub(age);
                let expired = self.queue.expire(|idle| idle.id < oldest);
                let due = self.idle.extract_if(.., |idle| idle.id < oldest);
                assert_eq!(expired, due.collect::<Vec<_>>());
                self.expired.extend(expired);
            }
            Event::IsExpired => {
                if self.expired.pop().is_some() {
                    let grant = self.queue.gone(None, self.now);
                    self.granted(grant);
                }
            }
            Event::Closes => {
                let (idle, waiters) = self.queue.close();
                assert_eq!(idle, std::mem::take(&mut self.idle));
                self.expired.extend(idle);
                let mut known: Vec<u32> =
                    self.waiting.values().flatten().map(|one| one.0).collect();
                let mut told = waiters;
                known.sort_unstable();
                told.sort_unstable();
                assert_eq!(told, known);
                self.waiting.clear();
            }
        }
    }

    /// What a pool does after each change, and when somebody has come, ahead of others.
    fn opens_more(&mut self, ahead: usize) {
        while self.queue.take_right(ahead) {
            self.opening += 1;
        }
    }

    fn adds_up(&mut self) {
        let queue = &self.queue;
        let rights = queue.idle() + self.lent.len() + self.expired.len() + self.opening;
        assert_eq!(queue.open(), rights);
        assert_eq!(queue.idle, self.idle);
        let level = queue.level(self.now);
        assert_eq!(level.opening, self.opening);
        assert!(queue.open() <= self.most);
        assert_eq!(
            level.waiting,
            self.waiting.values().map(VecDeque::len).sum::<usize>()
        );
        let eligible = self.eligible();
        assert_eq!(queue.demand, self.demand());
        assert_eq!(queue.is_wanted(), !eligible.is_empty());
        if !eligible.is_empty() {
            assert_eq!(queue.idle(), 0, "somebody is forgotten");
            let served_by_opening = self.opening >= 1 || queue.open() == self.most;
            assert!(served_by_opening, "nobody opens for {eligible:?}");
        }
        for load in level.loads {
            assert_eq!(load.held, self.held(load.tenant));
            let waiting = self.waiting.get(&load.tenant).map_or(0, VecDeque::len);
            assert_eq!(load.waiting, waiting);
            assert!(load.held + load.waiting > 0, "a line of nobody stays");
        }
        let round = eligible.iter().flatten().map(|tenant| {
            let allowance = self.allowed[&Some(*tenant)];
            u64::from(allowance.turn)
        });
        assert_eq!(queue.round, round.sum::<u64>());
        self.patience_begins();
    }

    /// A tenant's patience begins when it may be served, and ends when it is, or no longer may be.
    fn patience_begins(&mut self) {
        let mut tenants = self.eligible();
        tenants.retain(Option::is_some);
        self.patience.retain(|tenant, _| tenants.contains(tenant));
        let turn_of = |tenant| usize::try_from(self.allowed[tenant].turn).unwrap();
        // Those at their cap may go on with a turn that they have begun.
        let others = self.waiting.keys().filter(|tenant| tenant.is_some());
        let round: usize = others.map(turn_of).sum();
        for tenant in &tenants {
            self.patience.entry(*tenant).or_insert(Patience {
                may_wait: per_round(round - turn_of(tenant)),
                waited: 0,
            });
        }
    }

    /// Everybody leaves, and nothing is left but what is idle.
    fn empties(&mut self) {
        while !self.waiting.is_empty() {
            self.happens(&Event::GivesUp(0));
        }
        while !self.lent.is_empty() {
            self.happens(&Event::ComesBack(0));
        }
        while self.opening > 0 {
            self.happens(&Event::OpensNot { refuses: false });
        }
        while !self.expired.is_empty() {
            self.happens(&Event::IsExpired);
        }
        assert_eq!(self.queue.open(), self.queue.idle());
        assert_eq!((self.queue.demand, self.queue.waiting), (0, 0));
        assert!(self.queue.lines.is_empty() && self.queue.ring.is_empty());
        assert!(self.queue.newcomers.is_empty());
        assert_eq!(self.queue.round, 0);
    }
}

fn pick<T: Copy>(from: &[T], which: usize) -> Option<T> {
    let at = which.checked_rem(from.len())?;
    from.get(at).copied()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_nobody_is_forgotten_and_nothing_is_lost(
        (most, ahead) in (1..6_usize, 0..3_usize),
        allowances in vec(allowance(), usize::from(TENANTS)),
        events in vec(event(), 0..200),
        closes in any::<bool>(),
        after in vec(event(), 0..20),
    ) {
        let mut account = Account::new(most, ahead, &allowances);
        let closing = closes.then_some(Event::Closes);
        for event in events.iter().chain(&closing).chain(&after) {
            account.happens(event);
            account.opens_more(0);
            account.adds_up();
        }
        account.empties();
    }
}

/// A queue of one connection, which is lent, and whoever comes waits.
fn busy() -> Queue<&'static str, u32> {
    let mut queue = Queue::new(1, |_| None);
    assert!(queue.take_right_below(1));
    assert!(queue.opened("it").is_none());
    assert_eq!(queue.take(Lane::HOUSE, |_| false), Some("it"));
    queue.house_was_last = false;
    queue
}

fn all_wait(queue: &mut Queue<&'static str, u32>, lane: Lane, waiters: &[u32]) -> Vec<Ticket> {
    let now = Instant::now();
    let waiters = waiters.iter();
    waiters
        .map(|waiter| queue.wait(lane, *waiter, now))
        .collect()
}

/// In which order waiters are served, as one connection goes from one to the next.
fn order(mut queue: Queue<&'static str, u32>) -> Vec<u32> {
    let mut order = Vec::new();
    let mut lane = Lane::HOUSE;
    while let Some(grant) = queue.back(Some(lane), "it", Instant::now()) {
        order.push(grant.waiter);
        lane = grant.lane;
    }
    order
}

#[test]
fn turns_go_round_by_tenant_each_as_long_as_it_is() {
    let mut queue = busy();
    all_wait(&mut queue, lane(1, 9, 2), &[10, 11, 12, 13, 14]);
    all_wait(&mut queue, lane(2, 9, 2), &[20]);
    all_wait(&mut queue, lane(3, 9, 2), &[30, 31, 32]);
    assert_eq!(order(queue), [10, 20, 11, 30, 12, 31, 13, 14, 32]);
}

#[test]
fn a_longer_turn_is_a_larger_part() {
    let mut queue = busy();
    all_wait(&mut queue, lane(1, 9, 3), &[10, 11, 12, 13, 14, 15]);
    all_wait(&mut queue, lane(2, 9, 1), &[20, 21, 22]);
    assert_eq!(order(queue), [10, 20, 11, 12, 21, 13, 14, 15, 22]);
}

#[test]
fn who_comes_with_nothing_goes_ahead_once() {
    let mut queue = busy();
    all_wait(&mut queue, lane(1, 9, 4), &[10, 11, 12, 13, 14, 15, 16]);
    let crowd = lane(1, 9, 4);
    for expected in [10, 11] {
        let lane = if expected == 10 { Lane::HOUSE } else { crowd };
        assert_eq!(
            queue.back(Some(lane), "it", Instant::now()).unwrap().waiter,
            expected
        );
    }
    all_wait(&mut queue, lane(2, 9, 4), &[20, 21]);
    all_wait(&mut queue, lane(3, 9, 4), &[30]);
    let mut order = Vec::new();
    let mut lane = crowd;
    while let Some(grant) = queue.back(Some(lane), "it", Instant::now()) {
        order.push(grant.waiter);
        lane = grant.lane;
    }
    assert_eq!(order, [20, 12, 30, 13, 21, 14, 15, 16]);
}

/// Two tenants with crowds, one of them in the middle of its turn.
fn two_crowds() -> Queue<Connection, u32> {
    let mut queue = Queue::new(1, |connection: &Connection| connection.names);
    assert!(queue.take_right_below(1));
    let it = Connection { id: 0, names: None };
    assert!(queue.opened(it).is_none());
    assert!(queue.take(Lane::HOUSE, |_| false).is_some());
    for number in [1, 2] {
        for waiter in 0..9 {
            queue.wait(
                lane(number, 9, 2),
                number as u32 * 10 + waiter,
                Instant::now(),
            );
        }
    }
    queue
}

#[test]
fn a_connection_goes_to_whom_it_names_ahead_of_the_turn_but_not_for_ever() {
    let mut queue = two_crowds();
    let mut order = Vec::new();
    let mut from = Lane::HOUSE;
    for id in 0..14 {
        // Whatever has been done, it comes back naming the second.
        let it = Connection {
            id,
            names: tenant(2),
        };
        let grant = queue.back(Some(from), it, Instant::now()).unwrap();
        order.push(grant.waiter);
        from = grant.lane;
    }
    assert_eq!(
        order,
        [10, 20, 21, 22, 11, 23, 24, 25, 12, 13, 26, 27, 28, 14]
    );
}

#[test]
fn a_turn_goes_on_after_the_cap() {
    let mut queue = busy();
    all_wait(&mut queue, lane(1, 1, 3), &[10, 11, 12, 13]);
    all_wait(&mut queue, lane(2, 1, 2), &[20, 21, 22]);
    assert_eq!(order(queue), [10, 20, 11, 12, 21, 13, 22]);
}

#[test]
fn the_house_goes_first_but_for_every_second_turn_at_most() {
    let mut queue = busy();
    all_wait(&mut queue, lane(1, 9, 4), &[10, 11, 12]);
    all_wait(&mut queue, Lane::HOUSE, &[1, 2]);
    assert_eq!(order(queue), [1, 10, 2, 11, 12]);
}

#[test]
fn who_gives_up_costs_the_tenant_no_turn() {
    let mut queue = busy();
    let first = all_wait(&mut queue, lane(1, 9, 1), &[10]);
    all_wait(&mut queue, lane(2, 9, 1), &[20]);
    all_wait(&mut queue, lane(1, 9, 1), &[11]);
    assert_eq!(queue.give_up(first[0]), Some(10));
    assert_eq!(order(queue), [11, 20]);
}

#[test]
fn who_waited_at_a_cap_goes_ahead_of_who_raises_it() {
    let mut queue = Queue::new(3, |_| None);
    for name in ["one", "two", "three"] {
        assert!(queue.take_right_below(3));
        assert!(queue.opened(name).is_none());
    }
    assert!(queue.take(lane(1, 1, 4), |_| false).is_some());
    all_wait(&mut queue, lane(1, 1, 4), &[10]);
    assert!(queue.settle().is_none());

    let more = lane(1, 3, 4);
    assert!(queue.take(more, |_| false).is_none());
    all_wait(&mut queue, more, &[11]);
    let served = [queue.settle(), queue.settle()].map(|grant| grant.unwrap().waiter);
    assert_eq!(served, [10, 11]);
}

/// A queue whose one connection has come back ten times a second for a while.
fn ten_a_second() -> (Queue<&'static str, u32>, Instant) {
    let mut queue = busy();
    let mut now = Instant::now();
    for _ in 0..200 {
        now += Duration::from_millis(100);
        assert!(queue.back(Some(Lane::HOUSE), "it", now).is_none());
        assert!(queue.take(Lane::HOUSE, |_| true).is_some());
    }
    (queue, now)
}

#[test]
fn one_more_waits_for_its_own_and_for_the_turns_of_others() {
    let (mut queue, now) = ten_a_second();
    let crowd: Vec<u32> = (0..400).collect();
    for (number, turn) in [(1, 1), (2, 3)] {
        all_wait(&mut queue, lane(number, 9, turn), &crowd);
    }
    // The cap of 9 leaves demand for 9 of each, so that others are 9 at most.
    let estimate = |queue: &Queue<_, _>, lane| queue.wait_of_one_more(lane, now).as_millis() / 100;
    let is_near = |estimate: u128, expected: u128| estimate.abs_diff(expected) <= expected / 20 + 1;

    // A newcomer waits for a turn of each.
    let newcomer = estimate(&queue, lane(3, 9, 1));
    assert!(is_near(newcomer, 1 + 3 + 1), "{newcomer}");
    // One more of a crowd waits for its own crowd, and for what is left of the other.
    let one_more = estimate(&queue, lane(1, 9, 1));
    assert!(is_near(one_more, 400 + 9 + 1), "{one_more}");
    // The house waits for nobody but one.
    let house = estimate(&queue, Lane::HOUSE);
    assert!(is_near(house, 2), "{house}");
}

#[test]
fn one_more_at_its_cap_waits_for_its_own_connections() {
    let mut queue: Queue<&'static str, u32> = Queue::new(2, |_| None);
    for name in ["one", "two"] {
        assert!(queue.take_right_below(2));
        assert!(queue.opened(name).is_none());
    }
    let (slow, quick) = (lane(1, 1, 4), lane(2, 1, 4));
    assert!(queue.take(slow, |_| false).is_some());
    let mut now = Instant::now();
    for _ in 0..100 {
        now += Duration::from_millis(100);
        let taken = queue.take(quick, |_| false).unwrap();
        assert!(queue.back(Some(quick), taken, now).is_none());
    }
    // None of its own has come back.
    let wait = queue.wait_of_one_more(slow, now);
    assert!(wait >= Duration::from_secs(10), "{wait:?}");
    let wait = queue.wait_of_one_more(quick, now);
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
}

#[test]
fn a_crowd_of_tenants_leaves_no_memory_behind() {
    let mut queue = busy();
    let now = Instant::now();
    let tickets: Vec<Ticket> = (0..100_000)
        .map(|number| queue.wait(lane(u128::from(number) + 1, 9, 1), number, now))
        .collect();
    assert_eq!(queue.newcomers.len(), 100_000);
    for ticket in tickets {
        assert!(queue.give_up(ticket).is_some());
    }
    assert_eq!(queue.lines.len(), 1);
    assert!(queue.lines.capacity() < 1_000, "{}", queue.lines.capacity());
    assert!(queue.newcomers.is_empty());
}
