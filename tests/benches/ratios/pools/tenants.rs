//! Whose rows are read, and in which order.

use std::fmt;

use sqlx::types::Uuid;
use tenancy_core::{TenantContext, TenantRecord, TenantStatus, testing::ContextBuilder};
use tenancy_tests::{Random, notes::Notes};

/// A note of each of many tenants.
pub(crate) struct Rows(Vec<(TenantContext, Uuid)>);

impl Rows {
    pub(crate) async fn new(world: &Notes, tenants: i32) -> anyhow::Result<Self> {
        let crowd = world.crowd(tenants).await?;
        let row = |one: &tenancy_tests::notes::OneOfMany| {
            let slug = "a-tenant".parse()?;
            let mut record = TenantRecord::new(slug, "A tenant").with_status(TenantStatus::Active);
            record.id = one.tenant;
            let context = ContextBuilder::new(&world.tenancy, record).build();
            anyhow::Ok((context, *one.notes.first().unwrap()))
        };
        Ok(Self(crowd.iter().map(row).collect::<Result<_, _>>()?))
    }

    pub(crate) fn one(&self, draw: &mut Draw) -> &(TenantContext, Uuid) {
        let at = draw.next() % self.0.len();
        self.0.get(at).unwrap()
    }
}

/// How tenants are drawn.
#[derive(Clone)]
pub(crate) struct Draw {
    tenants: usize,
    is_each_another: bool,
    random: Random,
    number: usize,
}

impl Draw {
    /// The nth busiest of so many has an nth of the busiest one's reads (Zipf's law).
    pub(crate) fn zipf(tenants: usize) -> Self {
        Self {
            tenants,
            is_each_another: false,
            random: Random::new(1),
            number: 0,
        }
    }

    /// None is read for twice in a row: the worst case.
    pub(crate) fn each_another() -> Self {
        Self {
            is_each_another: true,
            ..Self::zipf(usize::MAX)
        }
    }

    /// The same for one task of many.
    pub(crate) fn started_at(&self, task: usize) -> Self {
        Self {
            random: Random::new(task as u64 + 1),
            number: task * 1_009,
            ..self.clone()
        }
    }

    fn next(&mut self) -> usize {
        self.number += 1;
        if self.is_each_another {
            return self.number;
        }
        // The inverse of the continuous law's distribution, ln(1 + x) / ln(1 + n).
        let share = self.random.below(1 << 53) as f64 / (1_u64 << 53) as f64;
        let rank = ((self.tenants as f64 + 1.0).ln() * share).exp() - 1.0;
        (rank as usize).min(self.tenants - 1)
    }
}

impl fmt::Display for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_each_another, self.tenants) {
            (true, _) => f.write_str("each of another tenant"),
            (false, 1) => f.write_str("1 tenant"),
            (false, tenants) => write!(f, "{tenants} tenants by Zipf's law"),
        }
    }
}
