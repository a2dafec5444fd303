//! Which shapes of slow statements cost each tenant most, in bounded memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenancy_core::TenantId;

/// How often statements of one shape were slow, and what they took.
///
/// ```
/// use tenancy_core::TenantId;
/// use tenancy_sqlx::statement_log::{SlowStatement, StatementLog};
///
/// fn worst(log: &StatementLog, tenant: TenantId) -> Option<SlowStatement> {
///     log.slowest(tenant).into_iter().next()
/// }
/// # let _ = worst;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowStatement {
    /// The shape: see [`StatementRecord::shape`](super::StatementRecord::shape).
    pub shape: Arc<str>,
    /// How many of them were slow.
    pub count: u64,
    /// What these took together.
    pub total: Duration,
    /// What the longest of them took.
    pub longest: Duration,
}

/// The slow statements of each tenant. `None` are those outside of a tenant.
///
/// Each tenant has so many shapes, so that one that makes many pushes out its own only. Of so many tenants, the one is
/// forgotten that has had no slow statement for the longest.
#[derive(Debug)]
pub(super) struct Slowest {
    most_tenants: usize,
    most_shapes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    of: HashMap<Option<TenantId>, OfTenant>,
    /// Counts up with each slow statement.
    now: u64,
}

#[derive(Debug, Default)]
struct OfTenant {
    last: u64,
    shapes: Vec<SlowStatement>,
}

impl Slowest {
    pub(super) fn new(most_tenants: usize, most_shapes: usize) -> Self {
        Self {
            most_tenants: most_tenants.max(1),
            most_shapes: most_shapes.max(1),
            kept: Mutex::default(),
        }
    }

    pub(super) fn note(&self, tenant: Option<TenantId>, shape: &Arc<str>, took: Duration) {
        let mut kept = self.kept();
        kept.now += 1;
        let now = kept.now;
        if !kept.of.contains_key(&tenant) && kept.of.len() >= self.most_tenants {
            kept.forget_one();
        }
        let of = kept.of.entry(tenant).or_default();
        of.last = now;
        of.note(shape, took, self.most_shapes);
    }

    /// Those of a tenant, the one first that took most altogether.
    pub(super) fn of(&self, tenant: Option<TenantId>) -> Vec<SlowStatement> {
        let of = self.kept().of.get(&tenant).map(|of| of.shapes.clone());
        let mut shapes = of.unwrap_or_default();
        shapes.sort_by_key(|shape| std::cmp::Reverse(shape.total));
        shapes
    }

    /// The tenants that have any, and what their slow statements took; the one first for which it was most.
    pub(super) fn tenants(&self) -> Vec<(TenantId, Duration)> {
        let kept = self.kept();
        let tenants = kept.of.iter().filter_map(|(tenant, of)| {
            let total = of.shapes.iter().map(|shape| shape.total);
            Some((
                (*tenant)?,
                total.fold(Duration::ZERO, Duration::saturating_add),
            ))
        });
        let mut tenants: Vec<_> = tenants.collect();
        drop(kept);
        tenants.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
        tenants
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget_one(&mut self) {
        let oldest = self.of.iter().min_by_key(|(_, of)| of.last);
        if let Some(tenant) = oldest.map(|(tenant, _)| *tenant) {
            self.of.remove(&tenant);
        }
    }
}

impl OfTenant {
    /// Where there is no room, in the place of the one that took least altogether.
    fn note(&mut self, shape: &Arc<str>, took: Duration, most: usize) {
        if let Some(known) = self.shapes.iter_mut().find(|known| known.shape == *shape) {
            known.count += 1;
            known.total = known.total.saturating_add(took);
            known.longest = known.longest.max(took);
            return;
        }
        let new = SlowStatement {
            shape: Arc::clone(shape),
            count: 1,
            total: took,
            longest: took,
        };
        if self.shapes.len() < most {
            self.shapes.push(new);
        } else if let Some(least) = self.shapes.iter_mut().min_by_key(|shape| shape.total) {
            *least = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn statements_of_one_shape_are_added_up_for_each_tenant() {
        let slowest = Slowest::new(10, 10);
        let (acme, globex) = (TenantId::new(), TenantId::new());
        let (one, other) = (Arc::from("select one"), Arc::from("select other"));
        slowest.note(Some(acme), &one, SECOND);
        slowest.note(Some(acme), &other, SECOND * 3);
        slowest.note(Some(acme), &one, SECOND * 5);
        slowest.note(Some(globex), &other, SECOND);
        slowest.note(None, &other, SECOND * 2);

        let of_acme = slowest.of(Some(acme));
        assert_eq!(of_acme.len(), 2);
        assert_eq!(
            of_acme[0],
            SlowStatement {
                shape: one,
                count: 2,
                total: SECOND * 6,
                longest: SECOND * 5,
            }
        );
        assert_eq!(slowest.of(Some(globex))[0].total, SECOND);
        assert_eq!(slowest.of(None)[0].total, SECOND * 2);
        assert_eq!(slowest.tenants(), [(acme, SECOND * 9), (globex, SECOND)]);
    }

    #[test]
    fn many_shapes_of_one_tenant_push_out_its_own_only_and_cheap_ones_first() {
        let slowest = Slowest::new(10, 3);
        let (acme, globex) = (TenantId::new(), TenantId::new());
        let heavy = Arc::from("select heavy");
        slowest.note(Some(globex), &heavy, SECOND);
        slowest.note(Some(acme), &heavy, SECOND * 100);
        for number in 0..10_000 {
            slowest.note(
                Some(acme),
                &format!("select column_{number}").into(),
                SECOND,
            );
        }
        assert_eq!(slowest.of(Some(acme)).len(), 3);
        assert_eq!(slowest.of(Some(acme))[0].shape, heavy);
        assert_eq!(slowest.of(Some(globex))[0].shape, heavy);
    }

    #[test]
    fn of_many_tenants_the_one_is_forgotten_that_was_slow_longest_ago() {
        let slowest = Slowest::new(3, 3);
        let tenants: Vec<_> = (0..4).map(|_| TenantId::new()).collect();
        let shape = Arc::from("select one");
        for tenant in &tenants[..3] {
            slowest.note(Some(*tenant), &shape, SECOND);
        }
        slowest.note(Some(tenants[0]), &shape, SECOND);
        slowest.note(Some(tenants[3]), &shape, SECOND);
        let left: Vec<_> = tenants.iter().map(|t| slowest.of(Some(*t)).len()).collect();
        assert_eq!(left, [1, 0, 1, 1]);
    }
}
