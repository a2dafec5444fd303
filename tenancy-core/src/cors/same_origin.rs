//! The proof that no page of another site made a browser send a request.

use super::{Claim, CorsPolicy, Origin, OriginFault, claim::is_own};
use crate::{
    Identification, RouteNeeds, TenantNeed,
    request::{Field, RequestView},
};

/// Whether a request that changes something can't come from a page of another site: what a credential
/// that browsers send by themselves demands.
///
/// Tenants write their own pages. A tenant's page is a proof where it names the tenant that the request
/// is then about. On a route without a tenant it would speak for its visitor to the service itself.
pub(crate) fn same_origin(
    policy: Option<&CorsPolicy>,
    rules: &Identification,
    request: &dyn RequestView,
    needs: RouteNeeds,
) -> Result<(), OriginFault> {
    // What the browser says of itself is better than what addresses tell.
    let said = request.header("sec-fetch-site");
    if is_safe(request) || matches!(said, Field::One("same-origin" | "none")) {
        return Ok(());
    }
    let fault = |reason| OriginFault { reason, sent: None };
    let text = match request.header("origin") {
        Field::One(text) => text,
        Field::Absent if said == Field::Absent => {
            return Err(fault("same-origin-proof-absent"));
        }
        _ => return Err(fault("cross-site-request")),
    };
    let insecure = policy.is_some_and(CorsPolicy::takes_insecure);
    let own = Origin::parse(text).is_ok_and(|origin| is_own(&origin, insecure, rules, request));
    let allowed = |policy: &CorsPolicy| {
        policy.allows_credentials()
            && match policy.claim(rules, request) {
                Ok(Claim::Own) => true,
                // The page is a hint, and agrees with the others, or the request is refused.
                Ok(Claim::Tenant(_)) => needs.tenant != TenantNeed::Central,
                Ok(Claim::Unsaid) | Err(_) => false,
            }
    };
    if own || policy.is_some_and(allowed) {
        return Ok(());
    }
    Err(OriginFault::about("cross-site-request", text))
}

/// Whether a request changes nothing (RFC 9110 §9.2.1). A websocket's handshake is a GET, and what is
/// said through the socket afterwards is not.
fn is_safe(request: &dyn RequestView) -> bool {
    let safe = matches!(request.method(), "GET" | "HEAD" | "OPTIONS" | "TRACE");
    let upgrades = match request.header("upgrade") {
        Field::Absent => false,
        Field::One(protocols) => protocols.to_ascii_lowercase().contains("websocket"),
        Field::Repeated | Field::NotText => true,
    };
    safe && !upgrades
}
