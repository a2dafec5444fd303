//! What a request costs its address: taken once, before anybody looks at its credential.

use tenancy_core::{Charging, Ending, RequestView, Settlement, Tenancy};

/// Says which engines have charged the address of a request, for the request to carry.
#[derive(Debug, Clone, Default)]
pub struct AddressCharged(Vec<Tenancy>);

impl AddressCharged {
    /// Takes one request of the limits of its address, unless a layer further outside has; `None` if there is nothing
    /// to take. An adapter calls this before it admits a request.
    pub fn charge(&mut self, tenancy: &Tenancy, request: &dyn RequestView) -> Option<Charging> {
        if self.0.iter().any(|before| before.is(tenancy)) {
            return None;
        }
        let charging = tenancy.charge_address(request)?;
        self.0.push(tenancy.clone());
        Some(charging)
    }
}

/// Gives back what a request took of its address for which there is no route; an adapter calls it where the answer has
/// status 404, no [`Refusal`](tenancy_core::Refusal) in its extensions, and no route matched.
pub fn no_route(address: Settlement) {
    address.settle(Ending::Answered {
        status: 404,
        bytes: 0,
    });
}
