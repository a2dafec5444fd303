//! The queue against a simple account of who waits and who holds what.

use std::collections::{BTreeMap, VecDeque};

use proptest::{collection::vec, prelude::*, test_runner::FileFailurePersistence};

use super::*;

fn tenant(number: u8) -> Lane {
    Lane::Tenant(TenantId::from_uuid(sqlx::types::Uuid::from_u128(
        number.into(),
    )))
}

fn bounds(most: usize, per_tenant: usize, quantum: u32) -> Bounds {
    Bounds {
        most,
        per_tenant,
        quantum,
    }
}

/// What happens to a pool. Numbers choose among what there is at the moment.
#[derive(Debug, Clone)]
enum Event {
    Arrives(u8),
    GivesUp(usize),
    ComesBack(usize),
    Dies(usize),
    Opens,
    OpensNot { refuses: bool },
    KeepsOpen(usize),
    Expires(u32),
    IsExpired,
    Closes,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..6_u8).prop_map(Event::Arrives),
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

struct Account {
    queue: Queue<u32, u32>,
    bounds: Bounds,
    waiting: BTreeMap<Lane, VecDeque<(u32, Ticket)>>,
    lent: Vec<(Lane, u32)>,
    expired: Vec<u32>,
    opening: usize,
    patience: BTreeMap<Lane, Patience>,
    house_grants_in_a_row: usize,
    next_id: u32,
}

impl Account {
    fn new(bounds: Bounds) -> Self {
        Self {
            queue: Queue::new(bounds),
            bounds,
            waiting: BTreeMap::new(),
            lent: Vec::new(),
            expired: Vec::new(),
            opening: 0,
            patience: BTreeMap::new(),
            house_grants_in_a_row: 0,
            next_id: 0,
        }
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn held(&self, lane: Lane) -> usize {
        self.lent.iter().filter(|(own, _)| *own == lane).count()
    }

    fn may_have_more(&self, lane: Lane) -> bool {
        lane == Lane::House || self.held(lane) < self.bounds.per_tenant
    }

    /// Lanes with waiters who may be served.
    fn eligible(&self) -> Vec<Lane> {
        let waiting = self.waiting.keys().copied();
        waiting.filter(|lane| self.may_have_more(*lane)).collect()
    }

    fn leaves(&mut self, lane: Lane, at: usize) {
        let line = self.waiting.get_mut(&lane).unwrap();
        line.remove(at).unwrap();
        if line.is_empty() {
            self.waiting.remove(&lane);
        }
    }

    /// Somebody has had a turn: the first of a line, and no tenant has waited for too many.
    fn served(&mut self, lane: Lane, waiter: u32) {
        assert!(self.may_have_more(lane), "{lane:?} is at its cap");
        assert_eq!(self.waiting[&lane].front().unwrap().0, waiter);
        let tenants_wait = self.eligible().iter().any(|other| *other != Lane::House);
        if lane == Lane::House {
            self.house_grants_in_a_row += 1;
            assert!(!tenants_wait || self.house_grants_in_a_row <= 1);
        } else {
            self.house_grants_in_a_row = 0;
            for (other, patience) in &mut self.patience {
                if *other != lane {
                    patience.waited += 1;
                    assert!(
                        patience.waited <= patience.may_wait,
                        "{other:?}: {patience:?}"
                    );
                }
            }
            self.patience.remove(&lane);
        }
        self.leaves(lane, 0);
    }

    fn granted(&mut self, grant: Option<Grant<u32, u32>>) {
        if let Some(grant) = grant {
            self.served(grant.lane, grant.waiter);
            self.lent.push((grant.lane, grant.connection));
        }
    }

    fn happens(&mut self, event: &Event) {
        let closed = self.queue.is_closed();
        match *event {
            Event::Arrives(_) if closed => {}
            Event::Arrives(number) => {
                let lane = match number {
                    0 => Lane::House,
                    number => tenant(number),
                };
                match self.queue.take(lane, |id| id % 2 == 0) {
                    Some(connection) => {
                        assert!(self.eligible().is_empty(), "somebody was passed over");
                        assert!(self.may_have_more(lane));
                        self.lent.push((lane, connection));
                        self.house_grants_in_a_row = usize::from(lane == Lane::House);
                    }
                    None => {
                        let waiter = self.id();
                        let ticket = self.queue.wait(lane, waiter);
                        let line = self.waiting.entry(lane).or_default();
                        line.push_back((waiter, ticket));
                    }
                }
            }
            Event::GivesUp(which) => {
                let all = self.waiting.iter().flat_map(|(lane, line)| {
                    line.iter().enumerate().map(|(at, one)| (*lane, at, *one))
                });
                let all = all.collect::<Vec<_>>();
                let Some((lane, at, (waiter, ticket))) = pick(&all, which) else {
                    return;
                };
                assert_eq!(self.queue.give_up(ticket), Some(waiter));
                assert_eq!(self.queue.give_up(ticket), None);
                self.leaves(lane, at);
            }
            Event::ComesBack(which) if !closed => {
                let Some((lane, connection)) = pick(&self.lent, which) else {
                    return;
                };
                self.lent.retain(|(_, other)| *other != connection);
                let grant = self.queue.back(lane, connection);
                self.granted(grant);
            }
            Event::ComesBack(which) | Event::Dies(which) => {
                let Some((lane, connection)) = pick(&self.lent, which) else {
                    return;
                };
                self.lent.retain(|(_, other)| *other != connection);
                let grant = self.queue.gone(Some(lane));
                self.granted(grant);
            }
            Event::Opens if self.opening > 0 && !closed => {
                self.opening -= 1;
                let connection = self.id();
                let grant = self.queue.opened(connection);
                self.granted(grant);
            }
            Event::Opens | Event::OpensNot { .. } if self.opening > 0 => {
                self.opening -= 1;
                self.queue.not_opened();
                if !closed && matches!(event, Event::OpensNot { refuses: true }) {
                    if let Some(refused) = self.queue.refuse() {
                        let first = |(lane, line): (&Lane, &VecDeque<(u32, Ticket)>)| {
                            (line.front().unwrap().0 == refused).then_some(*lane)
                        };
                        let lane = self.waiting.iter().find_map(first).unwrap();
                        self.served(lane, refused);
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
                let expired = self.queue.expire(|id| *id < oldest);
                assert!(expired.iter().all(|id| *id < oldest));
                self.expired.extend(expired);
            }
            Event::IsExpired => {
                if self.expired.pop().is_some() {
                    let grant = self.queue.gone(None);
                    self.granted(grant);
                }
            }
            Event::Closes => {
                let (idle, waiters) = self.queue.close();
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

    /// What a pool does after each change.
    fn opens_more(&mut self) {
        while self.queue.take_right() {
            self.opening += 1;
        }
    }

    fn adds_up(&mut self) {
        let queue = &self.queue;
        let rights = queue.idle() + self.lent.len() + self.expired.len() + self.opening;
        assert_eq!(queue.open(), rights);
        let level = queue.level();
        assert_eq!(level.opening, self.opening);
        assert!(queue.open() <= self.bounds.most);
        assert_eq!(
            level.waiting,
            self.waiting.values().map(VecDeque::len).sum::<usize>()
        );
        let eligible = self.eligible();
        assert_eq!(queue.is_wanted(), !eligible.is_empty());
        if !eligible.is_empty() {
            assert_eq!(queue.idle(), 0, "somebody is forgotten");
            let served_by_opening = self.opening >= 1 || queue.open() == self.bounds.most;
            assert!(served_by_opening, "nobody opens for {eligible:?}");
        }
        for (lane, held, waiting) in level.loads {
            assert_eq!(held, self.held(lane));
            assert_eq!(waiting, self.waiting.get(&lane).map_or(0, VecDeque::len));
            assert!(held + waiting > 0, "a line of nobody stays");
            assert!(lane == Lane::House || held <= self.bounds.per_tenant);
        }

        // A tenant's patience begins when it may be served, and ends when it is, or no longer may be.
        let tenants: Vec<Lane> = eligible
            .into_iter()
            .filter(|lane| *lane != Lane::House)
            .collect();
        self.patience.retain(|lane, _| tenants.contains(lane));
        let quantum = usize::try_from(self.bounds.quantum).unwrap();
        let patience = Patience {
            may_wait: tenants.len().saturating_sub(1) * quantum,
            waited: 0,
        };
        for lane in tenants {
            self.patience.entry(lane).or_insert(patience);
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
        (most, per_tenant, quantum) in (1..6_usize, prop_oneof![Just(usize::MAX), 1..4_usize], 1..5_u32),
        events in vec(event(), 0..200),
        closes in any::<bool>(),
        after in vec(event(), 0..20),
    ) {
        let mut account = Account::new(bounds(most, per_tenant, quantum));
        let closing = closes.then_some(Event::Closes);
        for event in events.iter().chain(&closing).chain(&after) {
            account.happens(event);
            account.opens_more();
            account.adds_up();
        }
        account.empties();
    }
}

/// A queue of one connection, which is lent, and whoever comes waits.
fn busy(quantum: u32) -> Queue<&'static str, u32> {
    let mut queue = Queue::new(bounds(1, usize::MAX, quantum));
    assert!(queue.take_right_below(1));
    assert!(queue.opened("it").is_none());
    assert_eq!(queue.take(tenant(99), |_| false), Some("it"));
    queue
}

/// In which order waiters are served, as one connection goes from one to the next.
fn order(mut queue: Queue<&'static str, u32>) -> Vec<u32> {
    let mut order = Vec::new();
    let mut lane = tenant(99);
    while let Some(grant) = queue.back(lane, "it") {
        order.push(grant.waiter);
        lane = grant.lane;
    }
    order
}

#[test]
fn turns_go_round_by_tenant_a_quantum_each() {
    let mut queue = busy(2);
    for waiter in [10, 11, 12, 13, 14] {
        queue.wait(tenant(1), waiter);
    }
    queue.wait(tenant(2), 20);
    for waiter in [30, 31, 32] {
        queue.wait(tenant(3), waiter);
    }
    assert_eq!(order(queue), [10, 11, 20, 30, 31, 12, 13, 32, 14]);
}

#[test]
fn the_house_goes_first_but_for_every_second_turn_at_most() {
    let mut queue = busy(4);
    for waiter in [10, 11, 12] {
        queue.wait(tenant(1), waiter);
    }
    for waiter in [1, 2] {
        queue.wait(Lane::House, waiter);
    }
    assert_eq!(order(queue), [1, 10, 2, 11, 12]);
}

#[test]
fn who_gives_up_costs_the_tenant_no_turn() {
    let mut queue = busy(1);
    let first = queue.wait(tenant(1), 10);
    queue.wait(tenant(2), 20);
    queue.wait(tenant(1), 11);
    assert_eq!(queue.give_up(first), Some(10));
    assert_eq!(order(queue), [11, 20]);
}

#[test]
fn a_crowd_of_tenants_leaves_no_memory_behind() {
    let mut queue = busy(1);
    let many = |number: u32| {
        Lane::Tenant(TenantId::from_uuid(sqlx::types::Uuid::from_u128(
            u128::from(number) + 1_000,
        )))
    };
    let tickets: Vec<Ticket> = (0..100_000).map(|n| queue.wait(many(n), n)).collect();
    assert_eq!(queue.ring.len(), 100_000);
    for ticket in tickets {
        assert!(queue.give_up(ticket).is_some());
    }
    assert_eq!(queue.lines.len(), 1);
    assert!(queue.lines.capacity() < 1_000, "{}", queue.lines.capacity());
    assert!(queue.ring.is_empty());
}
