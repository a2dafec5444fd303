//! The tenants, how they stand, and what each of them must have in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use anyhow::ensure;
use sqlx::Connection as _;
use tenancy_tests::{
    Random,
    notes::{self, Notes, OneOfMany},
};
use uuid::Uuid;

use crate::report::Side;

/// Every tenant of the run.
pub(crate) struct Crowd {
    accounts: Vec<Account>,
    /// Whom the operator deals with: clients ask for that one more often than by chance.
    pub(crate) in_question: AtomicUsize,
}

/// A tenant as its clients know it.
pub(crate) struct Account {
    pub(crate) is: OneOfMany,
    /// The fields of its requests, for either service.
    pub(crate) fields: String,
    standing: AtomicU64,
    /// Made through the library, and through the bare service.
    rows: [Mutex<Rows>; 2],
}

/// What a tenant's clients have been told about the rows they made.
#[derive(Default)]
pub(crate) struct Rows {
    /// Acknowledged.
    pub(crate) kept: BTreeMap<Uuid, String>,
    /// Asked to be deleted, without an answer yet.
    pub(crate) in_doubt: BTreeMap<Uuid, String>,
    /// Deleted, as was acknowledged.
    pub(crate) deleted: BTreeSet<Uuid>,
    /// Texts that were sent and whose client hung up.
    pub(crate) unanswered: BTreeSet<String>,
}

/// How a tenant stands, and how often that has changed: four steps make a round.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing(u64);

impl Standing {
    fn is_active(self) -> bool {
        self.0.is_multiple_of(4)
    }

    fn is_suspended(self) -> bool {
        self.0 % 4 == 2
    }

    /// Whether a request between the two moments had to be served.
    pub(crate) fn must_serve(before: Self, after: Self) -> bool {
        before == after && before.is_active()
    }

    /// Whether a request between the two moments had to be refused.
    pub(crate) fn must_refuse(before: Self, after: Self) -> bool {
        before == after && before.is_suspended()
    }
}

impl Account {
    pub(crate) fn standing(&self) -> Standing {
        Standing(self.standing.load(Ordering::SeqCst))
    }

    /// Begins or ends a change: active, being suspended, suspended, being made active.
    pub(crate) fn step(&self) {
        self.standing.fetch_add(1, Ordering::SeqCst);
    }

    /// The rows that were made through one of the services.
    pub(crate) fn rows(&self, side: Side) -> MutexGuard<'_, Rows> {
        self.rows[side as usize].lock().unwrap()
    }

    pub(crate) fn owns(&self, body: &str) -> bool {
        body.split_once(' ')
            .is_some_and(|(slug, _)| slug == self.is.slug)
    }

    /// Compares what is stored with what clients of a service were told; each difference in words.
    fn differences(&self, side: Side, stored: &[(Uuid, String)]) -> Vec<String> {
        let mut rows = self.rows(side);
        let mut differences = Vec::new();
        let mut missing: BTreeSet<_> = rows.kept.keys().copied().collect();
        for (id, body) in stored.iter().filter(|(_, body)| side.wrote(body)) {
            missing.remove(id);
            let known = rows.kept.get(id).or(rows.in_doubt.get(id)) == Some(body)
                || rows.unanswered.remove(body);
            if !known {
                let deleted = rows.deleted.contains(id);
                let what = if deleted {
                    "was deleted"
                } else {
                    "was not written, or twice"
                };
                differences.push(format!("`{body}` is there and {what}"));
            }
        }
        let lost = |id| format!("`{}` is lost", rows.kept[&id]);
        differences.extend(missing.into_iter().map(lost));
        differences
    }
}

impl Crowd {
    pub(crate) fn new(tenants: Vec<OneOfMany>) -> anyhow::Result<Self> {
        let account = |is: OneOfMany| {
            let token = notes::token(is.owner)?;
            Ok(Account {
                fields: format!(
                    "host: {}.notes.example\r\nauthorization: Bearer {token}\r\nx-tenant: {}\r\n",
                    is.slug, is.tenant
                ),
                is,
                standing: AtomicU64::new(0),
                rows: Default::default(),
            })
        };
        Ok(Self {
            accounts: tenants
                .into_iter()
                .map(account)
                .collect::<anyhow::Result<_>>()?,
            in_question: AtomicUsize::new(0),
        })
    }

    /// Any tenant.
    pub(crate) fn any(&self, random: &mut Random) -> &Account {
        self.at(self.number(random))
    }

    pub(crate) fn number(&self, random: &mut Random) -> usize {
        usize::try_from(random.below(self.accounts.len() as u64)).unwrap()
    }

    pub(crate) fn at(&self, number: usize) -> &Account {
        &self.accounts[number]
    }

    /// Makes sure, past row security, that rows belong to whom they say, and each tenant has what
    /// the library told its clients and no more. How many differences the bare service has.
    pub(crate) async fn check(&self, world: &Notes) -> anyhow::Result<usize> {
        let mut admin = world.database.admin().await?;
        let all: Vec<(Uuid, Uuid, String)> =
            sqlx::query_as("SELECT tenant_id, id, body FROM notes")
                .fetch_all(&mut admin)
                .await?;
        admin.close().await?;
        let mut stored: BTreeMap<Uuid, Vec<(Uuid, String)>> = BTreeMap::new();
        for (tenant, id, body) in all {
            stored.entry(tenant).or_default().push((id, body));
        }
        let (mut faults, mut bare) = (Vec::new(), 0);
        for account in &self.accounts {
            let rows = stored
                .remove(&account.is.tenant.as_uuid())
                .unwrap_or_default();
            for (_, body) in rows.iter().filter(|(_, body)| !account.owns(body)) {
                faults.push(format!("{} has `{body}`", account.is.slug));
            }
            let there = |note| rows.iter().any(|(id, _)| id == note);
            if !account.is.notes.iter().all(there) {
                faults.push(format!("{} lacks a note it had", account.is.slug));
            }
            faults.extend(account.differences(Side::Tenancy, &rows));
            bare += account.differences(Side::Bare, &rows).len();
        }
        ensure!(faults.is_empty(), "{faults:#?}");
        ensure!(stored.is_empty(), "rows of nobody: {stored:?}");
        Ok(bare)
    }
}
