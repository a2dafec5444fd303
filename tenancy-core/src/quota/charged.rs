//! What a request was charged of its limits, for its settlement and for its handler.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

use super::{MAX_AMOUNT, Operation, Scope, Standing, Standings, charging::Due, service::Inner};
use crate::{Charge, Ending};

/// One charge of a request: shared by what settles it and by handlers that ask for it.
pub(crate) struct RouteCharge {
    pub(super) inner: Arc<Inner>,
    pub(super) operation: Operation,
    pub(super) dues: Vec<Due>,
    pub(super) standings: Standings,
    /// Whether it was made before, so that nothing was taken now. The first one settles.
    pub(super) repeated: bool,
}

impl RouteCharge {
    pub(crate) const fn settles(&self) -> bool {
        !self.repeated
    }

    pub(crate) fn settle(&self, ending: Ending) {
        self.inner.settle(self.operation, &self.dues, ending);
    }

    fn limits(&self) -> impl Iterator<Item = ChargedLimit<'_>> {
        let each = self.dues.iter().zip(self.standings.iter());
        let told = each.filter(|(due, standing)| {
            due.rule.scope != Scope::System && standing.limit < MAX_AMOUNT
        });
        told.map(|(due, standing)| ChargedLimit {
            name: &due.rule.name,
            meter: &due.rule.meter,
            scope: due.rule.scope,
            amount: if self.repeated { 0 } else { due.amount },
            standing: *standing,
        })
    }
}

impl fmt::Debug for RouteCharge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.limits()).finish()
    }
}

/// What a request was charged of its limits, and what is left of them, for its handler. The layers of the adapters put it
/// into the request's extensions where a route's [policy](crate::RoutePolicy::cost) has costs: axum's `Extension` and
/// `ReqData` of actix-web hand it over.
///
/// Limits of the [whole service](Scope::System) are left out, and what has no limit. A limit of which several layers
/// took is there once for each of them, the outermost first.
///
/// ```
/// use tenancy_core::quota::ChargedLimits;
///
/// /// Says so in time.
/// fn note(charged: &ChargedLimits) -> Option<String> {
///     let few = charged.iter().find(|limit| limit.standing.remaining < 10)?;
///     Some(format!("{} of your {} are left", few.standing.remaining, few.meter))
/// }
/// # assert!(note(&ChargedLimits::default()).is_none());
/// ```
#[derive(Debug, Clone, Default)]
pub struct ChargedLimits(Vec<Arc<RouteCharge>>);

/// As a list.
impl Serialize for ChargedLimits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl ChargedLimits {
    /// Each limit of which the request has taken.
    pub fn iter(&self) -> impl Iterator<Item = ChargedLimit<'_>> {
        self.0.iter().flat_map(|charge| charge.limits())
    }

    /// The same, and what a further charge of the request took. For adapters.
    #[must_use]
    pub fn with(mut self, charge: &Charge) -> Self {
        self.0.extend(charge.limits().cloned());
        self
    }
}

/// What a request was charged of one limit: see [`ChargedLimits`].
///
/// ```
/// use tenancy_core::quota::ChargedLimit;
///
/// fn is_the_last_one(limit: &ChargedLimit<'_>) -> bool {
///     limit.amount > 0 && limit.standing.remaining == 0
/// }
/// # let _ = is_the_last_one;
/// ```
///
/// As JSON: `name`, `meter`, `scope`, `amount`, and beside them the members of its [`Standing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChargedLimit<'a> {
    /// The limit's name.
    pub name: &'a str,
    /// Its meter.
    pub meter: &'a str,
    /// For whom it counts.
    pub scope: Scope,
    /// How much the request has taken; 0 for a repetition with the client's id of what was charged before.
    pub amount: u64,
    /// What is used and left, with this charge.
    #[serde(flatten)]
    pub standing: Standing,
}
