//! Charging: what a request takes between the decision and the handler, and how that is settled.

mod policy;
mod settlement;

use std::{fmt, net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;

use crate::{
    Admitted, Principal, Refusal, RequestView, TenantContext,
    quota::{OwnLimits, RouteCharge},
    request::add_field,
};

pub(super) use policy::{charge, charge_address, check_policy};
pub use settlement::{Ending, Settlement};

/// What a route takes of a meter for each request: see [`RoutePolicy::cost`](crate::RoutePolicy::cost).
///
/// ```
/// use tenancy_core::{Cost, RouteNeeds, RoutePolicy};
///
/// let policy = RoutePolicy::new(RouteNeeds::tenant()).cost("exports", 1);
/// assert_eq!(policy.costs(), [Cost::new("exports", 1)]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    meter: Box<str>,
    amount: u64,
}

impl Cost {
    /// So much of a meter, in the meter's own unit.
    #[must_use]
    pub fn new(meter: impl Into<Box<str>>, amount: u64) -> Self {
        Self {
            meter: meter.into(),
            amount,
        }
    }

    /// The meter's name.
    #[must_use]
    pub fn meter(&self) -> &str {
        &self.meter
    }

    /// How much, in the meter's own unit.
    #[must_use]
    pub const fn amount(&self) -> u64 {
        self.amount
    }
}

/// Takes what requests cost: a rate limit, a quota, a balance.
///
/// Given to [`TenancyBuilder::charger`](crate::TenancyBuilder::charger), and called by the adapters for
/// routes whose [policy](crate::RoutePolicy) has a cost: after the request was admitted and holds the
/// permission and the feature that the route asks for, and before its handler runs.
///
/// Layers within layers charge the highest of their amounts for a meter, and not the sum. A charge is never cached.
/// The layers may call the charger more than once for a request. Each call asks for the part that was not taken of
/// the meter before: after 1, a layer that costs 3 asks for 2. If a later call is refused, what an earlier call has
/// taken stays taken until its settlement. The settlement is told [`Ending::Answered`] with the refusal's status: give
/// it back there. So remember an operation id with its meter, its amount and what was [taken
/// before](ChargeRequest::taken_before), and not alone.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use tenancy_core::{Charge, ChargeRequest, Charger, Charging, Ending, Refusal, RefusalKind};
/// # use std::sync::Arc;
///
/// /// At most ten exports at the same time, of all tenants together.
/// #[derive(Debug, Default)]
/// struct Exports(Arc<AtomicU64>);
///
/// impl Charger for Exports {
///     fn knows(&self, meter: &str) -> bool {
///         meter == "exports"
///     }
///
///     fn charge(&self, _: &ChargeRequest<'_>) -> Charging {
///         if self.0.fetch_add(1, Ordering::SeqCst) >= 10 {
///             self.0.fetch_sub(1, Ordering::SeqCst);
///             return Refusal::new(RefusalKind::RateLimited, "exports-running").into();
///         }
///         let running = Arc::clone(&self.0);
///         // Also where the client has gone, or the handler has panicked.
///         let settle = move |_: Ending| { running.fetch_sub(1, Ordering::SeqCst); };
///         Charge::new().field("x-exports-running", "1").settled_by(settle).into()
///     }
/// }
/// ```
pub trait Charger: Send + Sync + fmt::Debug + 'static {
    /// Whether there is a meter of this name. A policy that names another one is refused when the route is
    /// built.
    fn knows(&self, meter: &str) -> bool;

    /// Takes what this call asks for, all of it or nothing.
    ///
    /// Answers at once, or with a future where a store has to be asked. That future may be dropped at any
    /// point, because the client has gone: what it has taken by then is given back by itself or expires.
    fn charge(&self, request: &ChargeRequest<'_>) -> Charging;
}

/// What is to be charged, and for whom.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ChargeRequest<'a> {
    /// Who is charged: a tenant's context, or the caller of a route without a tenant.
    pub admitted: &'a Admitted,
    /// What it costs, beyond what was taken before; never empty.
    pub costs: &'a [Cost],
    /// What layers outside of this one took for the same request, of each of these meters of which they took anything.
    pub before: &'a [Cost],
    /// The request, untrusted: for an operation id that the client sent, say.
    pub request: &'a dyn RequestView,
    /// The address of the caller, as far as the trusted proxies tell it.
    pub client_ip: Option<IpAddr>,
}

impl<'a> ChargeRequest<'a> {
    pub(crate) const fn new(
        admitted: &'a Admitted,
        (costs, before): (&'a [Cost], &'a [Cost]),
        request: &'a dyn RequestView,
        client_ip: Option<IpAddr>,
    ) -> Self {
        Self {
            admitted,
            costs,
            before,
            request,
            client_ip,
        }
    }

    /// How much of a meter layers outside of this one took for the same request.
    #[must_use]
    pub fn taken_before(&self, meter: &str) -> u64 {
        let taken = self.before.iter().filter(|cost| cost.meter() == meter);
        taken.map(Cost::amount).sum()
    }

    /// The context of the tenant that is charged; `None` on a route without a tenant.
    #[must_use]
    pub const fn context(&self) -> Option<&'a TenantContext> {
        match self.admitted {
            Admitted::Tenant(context) => Some(context),
            Admitted::NoTenant(_) => None,
        }
    }

    /// Who calls; `None` without a credential on a route without a tenant.
    #[must_use]
    pub fn principal(&self) -> Option<&'a Principal> {
        match self.admitted {
            Admitted::Tenant(context) => Some(context.principal()),
            Admitted::NoTenant(principal) => principal.as_deref(),
        }
    }

    /// What the credential of the caller is limited to by itself.
    pub(crate) fn own_limits(&self) -> &'a OwnLimits {
        match self.admitted {
            Admitted::Tenant(context) => context.own_limits(),
            Admitted::NoTenant(principal) => {
                (principal.as_deref()).map_or(&OwnLimits::None, |principal| &principal.limits)
            }
        }
    }
}

impl fmt::Debug for ChargeRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChargeRequest")
            .field("admitted", &self.admitted)
            .field("costs", &self.costs)
            .finish_non_exhaustive()
    }
}

/// The answer of a [`Charger`], at once or after I/O.
///
/// Where a store has to be asked first:
///
/// ```
///
/// use tenancy_core::{Charge, Charging, Refusal, RefusalKind};
///
/// # async fn take_one_credit() -> std::io::Result<u64> { Ok(9) }
/// fn charge() -> Charging {
///     Charging::Pending(Box::pin(async {
///         match take_one_credit().await {
///             Ok(left) => Ok(Charge::new().field("x-credits-left", left.to_string())),
///             Err(_) => Err(Refusal::new(RefusalKind::Unavailable, "credits-unavailable")),
///         }
///     }))
/// }
/// # drop(charge());
/// ```
#[must_use]
#[allow(
    clippy::exhaustive_enums,
    reason = "an answer is there or is not; adapters match on both"
)]
pub enum Charging {
    /// Charged, or refused.
    Ready(Result<Charge, Refusal>),
    /// A store has to be asked first.
    Pending(BoxFuture<'static, Result<Charge, Refusal>>),
}

impl From<Charge> for Charging {
    fn from(charge: Charge) -> Self {
        Self::Ready(Ok(charge))
    }
}

impl From<Refusal> for Charging {
    fn from(refusal: Refusal) -> Self {
        Self::Ready(Err(refusal))
    }
}

impl fmt::Debug for Charging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(charged) => f.debug_tuple("Ready").field(charged).finish(),
            Self::Pending(_) => f.debug_tuple("Pending").finish_non_exhaustive(),
        }
    }
}

/// What a request was charged: what its response says of it, and how it is settled.
#[derive(Debug, Default)]
#[must_use]
pub struct Charge {
    fields: Vec<(&'static str, String)>,
    settlement: Settlement,
    /// Limits that were charged and are not settled by this settlement.
    limits: Option<Arc<RouteCharge>>,
}

impl Charge {
    /// A charge that needs no settling, and that the response says nothing of.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header field to the response, by its lower-case name: also where the handler has failed. What
    /// can't be a name is left out and logged, and so is a value that no field can have. Of several charges of one
    /// request, the innermost's field counts.
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        add_field(&mut self.fields, name, value);
        self
    }

    /// What is done once the request has come to its end, however it did: gives back what was held, or
    /// takes the rest.
    ///
    /// Called once, on the thread where the request ends: it must not block and must not panic. Where a
    /// store has to be told, it spawns a task or hands over to one. Call it once for a charge: the last one
    /// counts, and one before is settled as cancelled.
    pub fn settled_by(mut self, settle: impl FnOnce(Ending) + Send + 'static) -> Self {
        self.limits = self.limits().cloned();
        self.settlement = Settlement::new(settle);
        self
    }

    /// A charge of limits, which settles itself.
    #[inline]
    pub(crate) fn of_limits(mut self, charge: RouteCharge) -> Self {
        let charge = Arc::new(charge);
        if charge.settles() {
            self.settlement = Settlement::of_limits(charge);
        } else {
            self.limits = Some(charge);
        }
        self
    }

    /// The limits that were charged, if it were any.
    pub(crate) fn limits(&self) -> Option<&Arc<RouteCharge>> {
        self.settlement.limits().or(self.limits.as_ref())
    }

    /// The header fields and the settlement, for an adapter.
    pub fn into_parts(self) -> (Vec<(&'static str, String)>, Settlement) {
        (self.fields, self.settlement)
    }
}
