//! The state of a subscription, from all that was heard of it.

use std::{collections::BTreeSet, time::Duration};

use tenancy_core::Timestamp;

use super::{SubscriptionStatus, SubscriptionUpdate};

/// Where a tenant stands with its payments, at a moment.
///
/// ```
/// use tenancy_usage::subscription::SubscriptionState;
///
/// assert_eq!(SubscriptionState::SuspendedForBilling.as_str(), "suspended-for-billing");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubscriptionState {
    /// On trial.
    Trial,
    /// Paid.
    Active,
    /// Not paid, and still served for the time of grace.
    PastDue,
    /// Not paid, and served no longer, until it is.
    SuspendedForBilling,
    /// Ended.
    Cancelled,
}

impl SubscriptionState {
    /// Its name: `trial`, `active`, `past-due`, `suspended-for-billing` or `cancelled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trial => "trial",
            Self::Active => "active",
            Self::PastDue => "past-due",
            Self::SuspendedForBilling => "suspended-for-billing",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What an update has done.
///
/// ```
/// use tenancy_usage::subscription::Applied;
///
/// fn is_news(applied: Applied) -> bool {
///     applied == Applied::Changed
/// }
/// assert!(!is_news(Applied::Replayed));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Applied {
    /// It is the newest, and holds.
    Changed,
    /// It is older than what holds. It may tell since when a payment is due; else it changes nothing.
    Outdated,
    /// It was heard before, and changes nothing.
    Replayed,
    /// It is about another subscription, and changes nothing.
    Foreign,
}

/// A subscription at a billing system, by all that was heard of it.
///
/// The order in which updates come makes no difference, nor does their number: the state follows from the set of them.
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::Timestamp;
/// use tenancy_usage::subscription::{
///     Applied, ObjectVersion, Subscription, SubscriptionState, SubscriptionStatus, SubscriptionUpdate,
/// };
///
/// let at = Timestamp::from_unix_seconds;
/// let update = |seconds, status| SubscriptionUpdate::new("sub_1", "cus_1", ObjectVersion::at(at(seconds)), status);
/// let week = Duration::from_secs(7 * 86_400);
/// let mut subscription = Subscription::new(update(1, SubscriptionStatus::Active), week);
///
/// subscription.apply(update(10, SubscriptionStatus::PastDue));
/// assert_eq!(subscription.state(at(10)), SubscriptionState::PastDue);
/// assert_eq!(subscription.state(at(10) + week), SubscriptionState::SuspendedForBilling);
///
/// // What was sent before the cancellation and comes after it revives nothing.
/// subscription.apply(update(30, SubscriptionStatus::Cancelled));
/// assert_eq!(subscription.apply(update(29, SubscriptionStatus::Active)), Applied::Outdated);
/// assert_eq!(subscription.state(at(31)), SubscriptionState::Cancelled);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Subscription {
    grace: Duration,
    newest: SubscriptionUpdate,
    /// The newest update by which nothing is owed, and all after it.
    heard: BTreeSet<SubscriptionUpdate>,
}

impl Subscription {
    /// A subscription of which this was heard, and for how long after a failed payment the tenant is still served.
    pub fn new(first: SubscriptionUpdate, grace: Duration) -> Self {
        Self {
            grace,
            newest: first.clone(),
            heard: BTreeSet::from([first]),
        }
    }

    /// The subscription of which all this was heard, in any order, for a store; `None` if it is nothing.
    #[must_use]
    pub fn heard_of(
        updates: impl IntoIterator<Item = SubscriptionUpdate>,
        grace: Duration,
    ) -> Option<Self> {
        let mut updates = updates.into_iter();
        let mut subscription = Self::new(updates.next()?, grace);
        for update in updates {
            subscription.apply(update);
        }
        Some(subscription)
    }

    /// Takes note of an update. Updates of one version, which differ, hold in the order of
    /// [`SubscriptionStatus`], so that two processes that hear them in different orders agree.
    pub fn apply(&mut self, update: SubscriptionUpdate) -> Applied {
        if update.subscription != self.newest.subscription {
            return Applied::Foreign;
        }
        if self.heard.contains(&update) {
            return Applied::Replayed;
        }
        // All before the newest by which nothing is owed is forgotten, because nothing follows from it.
        let is_forgotten = |before: &SubscriptionUpdate, than: &SubscriptionUpdate| before < than;
        if self
            .last_settled()
            .is_some_and(|settled| is_forgotten(&update, settled))
        {
            return Applied::Outdated;
        }
        let is_newest = update > self.newest;
        if is_newest {
            self.newest = update.clone();
        }
        self.heard.insert(update);
        if let Some(settled) = self.last_settled().cloned() {
            self.heard.retain(|heard| !is_forgotten(heard, &settled));
        }
        if is_newest {
            Applied::Changed
        } else {
            Applied::Outdated
        }
    }

    fn last_settled(&self) -> Option<&SubscriptionUpdate> {
        let is_settled = |it: &&SubscriptionUpdate| !owes(it.status);
        self.heard.iter().rev().find(is_settled)
    }

    /// Since when a payment is due: the first update of those by which something is owed, after the last by which nothing is; or
    /// the end of a trial after which nothing was heard.
    fn due_since(&self) -> Option<Timestamp> {
        match self.newest.status {
            SubscriptionStatus::Trialing { until } => Some(until),
            SubscriptionStatus::PastDue => {
                let mut due = self.heard.iter().filter(|it| owes(it.status));
                due.next().map(|first| first.version.moment())
            }
            _ => None,
        }
    }

    /// Where the tenant stands at a moment.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> SubscriptionState {
        match (self.newest.status, self.due_since()) {
            (SubscriptionStatus::Active, _) => SubscriptionState::Active,
            (SubscriptionStatus::Unpaid, _) => SubscriptionState::SuspendedForBilling,
            (SubscriptionStatus::Cancelled, _) => SubscriptionState::Cancelled,
            (SubscriptionStatus::Trialing { until }, _) if now < until => SubscriptionState::Trial,
            (_, Some(since)) if now < since + self.grace => SubscriptionState::PastDue,
            _ => SubscriptionState::SuspendedForBilling,
        }
    }

    /// When the state changes by the time alone, if nothing is heard: when a trial ends, when grace does. `None` if it doesn't.
    #[must_use]
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let since = self.due_since()?;
        [since, since + self.grace]
            .into_iter()
            .find(|change| *change > now)
    }

    /// The newest that was heard.
    pub const fn newest(&self) -> &SubscriptionUpdate {
        &self.newest
    }

    /// All from which the state follows, for a store: a subscription of the first, to which the others are applied, is the same.
    pub fn heard(&self) -> impl Iterator<Item = &SubscriptionUpdate> {
        self.heard.iter()
    }
}

/// Whether something is owed.
const fn owes(status: SubscriptionStatus) -> bool {
    matches!(
        status,
        SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::subscription::ObjectVersion;

    const GRACE: Duration = Duration::from_secs(10);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn update(seconds: i64, status: SubscriptionStatus) -> SubscriptionUpdate {
        SubscriptionUpdate::new("sub_1", "cus_1", ObjectVersion::at(at(seconds)), status)
    }

    fn heard(updates: &[SubscriptionUpdate]) -> Subscription {
        let mut subscription = Subscription::new(updates[0].clone(), GRACE);
        for update in &updates[1..] {
            subscription.apply(update.clone());
        }
        subscription
    }

    fn status() -> impl Strategy<Value = SubscriptionStatus> {
        prop_oneof![
            (0_i64..40).prop_map(|end| SubscriptionStatus::Trialing { until: at(end) }),
            Just(SubscriptionStatus::Active),
            Just(SubscriptionStatus::PastDue),
            Just(SubscriptionStatus::PastDue),
            Just(SubscriptionStatus::Unpaid),
            Just(SubscriptionStatus::Cancelled),
        ]
    }

    /// The state by all updates in their order, written in the plainest way.
    fn plainly(updates: &[SubscriptionUpdate], now: i64) -> SubscriptionState {
        let mut updates = updates.to_vec();
        updates.sort();
        let mut due = None;
        for update in &updates {
            due = match update.status {
                SubscriptionStatus::Trialing { until } => Some(until),
                SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid => match due {
                    Some((_, true)) => due.map(|(since, _)| since),
                    _ => Some(update.version.moment()),
                },
                _ => None,
            }
            .map(|since| {
                let owes = [SubscriptionStatus::PastDue, SubscriptionStatus::Unpaid];
                (since, owes.contains(&update.status))
            });
        }
        let in_grace = due.is_some_and(|(since, _)| at(now) < since + GRACE);
        match updates.last().unwrap().status {
            SubscriptionStatus::Active => SubscriptionState::Active,
            SubscriptionStatus::Cancelled => SubscriptionState::Cancelled,
            SubscriptionStatus::Trialing { until } if at(now) < until => SubscriptionState::Trial,
            SubscriptionStatus::Unpaid => SubscriptionState::SuspendedForBilling,
            _ if in_grace => SubscriptionState::PastDue,
            _ => SubscriptionState::SuspendedForBilling,
        }
    }

    proptest! {
        /// The order and the number of updates make no difference, and a store may keep only what is heard.
        #[test]
        fn updates_come_in_any_order_and_any_number(
            updates in proptest::collection::vec((0_i64..20, status()), 1..10),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
            now in 0_i64..60,
        ) {
            let updates: Vec<_> = updates.into_iter().map(|(seconds, status)| update(seconds, status)).collect();
            let mut shuffled: Vec<_> = order.iter().map(|index| index.get(&updates).clone()).collect();
            shuffled.extend(updates.iter().rev().cloned());
            let (one, other) = (heard(&updates), heard(&shuffled));
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one.state(at(now)), plainly(&updates, now));
            let kept: Vec<_> = one.heard().cloned().collect();
            prop_assert_eq!(heard(&kept), one);
        }
    }

    #[test]
    fn grace_begins_with_the_first_failure_and_not_with_each() {
        let mut subscription = Subscription::new(update(1, SubscriptionStatus::Active), GRACE);
        assert_eq!(subscription.changes_at(at(1)), None);
        assert_eq!(
            subscription.apply(update(14, SubscriptionStatus::PastDue)),
            Applied::Changed
        );
        // The failure before it comes after it.
        assert_eq!(
            subscription.apply(update(10, SubscriptionStatus::PastDue)),
            Applied::Outdated
        );
        assert_eq!(
            subscription.apply(update(10, SubscriptionStatus::PastDue)),
            Applied::Replayed
        );
        assert_eq!(subscription.state(at(19)), SubscriptionState::PastDue);
        assert_eq!(subscription.changes_at(at(19)), Some(at(20)));
        assert_eq!(
            subscription.state(at(20)),
            SubscriptionState::SuspendedForBilling
        );
        assert_eq!(subscription.changes_at(at(20)), None);
        assert_eq!(
            subscription.apply(update(25, SubscriptionStatus::Active)),
            Applied::Changed
        );
        assert_eq!(subscription.state(at(25)), SubscriptionState::Active);
        assert_eq!(subscription.heard().count(), 1);
        assert_eq!(
            subscription.apply(update(30, SubscriptionStatus::PastDue)),
            Applied::Changed
        );
        assert_eq!(subscription.state(at(39)), SubscriptionState::PastDue);
    }

    #[test]
    fn grace_does_not_begin_anew_after_payments_were_given_up() {
        let subscription = heard(&[
            update(1, SubscriptionStatus::Active),
            update(10, SubscriptionStatus::PastDue),
            update(20, SubscriptionStatus::Unpaid),
            update(30, SubscriptionStatus::PastDue),
        ]);
        assert_eq!(
            subscription.state(at(30)),
            SubscriptionState::SuspendedForBilling
        );
    }

    #[test]
    fn who_pays_within_the_second_of_a_failure_is_served() {
        for owed in [SubscriptionStatus::Unpaid, SubscriptionStatus::PastDue] {
            let (owed, paid) = (update(10, owed), update(10, SubscriptionStatus::Active));
            for updates in [[owed.clone(), paid.clone()], [paid, owed]] {
                assert_eq!(heard(&updates).state(at(10)), SubscriptionState::Active);
            }
        }
    }

    #[test]
    fn a_trial_ends_by_the_time_alone() {
        let trial = SubscriptionStatus::Trialing { until: at(100) };
        let subscription = Subscription::new(update(1, trial), GRACE);
        for (now, state, change) in [
            (99, SubscriptionState::Trial, Some(at(100))),
            (100, SubscriptionState::PastDue, Some(at(110))),
            (110, SubscriptionState::SuspendedForBilling, None),
        ] {
            assert_eq!(
                (
                    subscription.state(at(now)),
                    subscription.changes_at(at(now))
                ),
                (state, change)
            );
        }
    }

    #[test]
    fn of_two_in_one_second_the_graver_holds_in_either_order() {
        let (active, cancelled) = (
            update(5, SubscriptionStatus::Active),
            update(5, SubscriptionStatus::Cancelled),
        );
        for order in [[active.clone(), cancelled.clone()], [cancelled, active]] {
            assert_eq!(heard(&order).state(at(6)), SubscriptionState::Cancelled);
        }
        let mut subscription = Subscription::new(update(5, SubscriptionStatus::Active), GRACE);
        let other = SubscriptionUpdate {
            subscription: "sub_2".into(),
            ..update(9, SubscriptionStatus::Cancelled)
        };
        assert_eq!(subscription.apply(other), Applied::Foreign);
    }
}
