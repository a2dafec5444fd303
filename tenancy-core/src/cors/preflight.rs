//! Preflights: what a browser asks before it sends a page's request (Fetch §3.2).

use super::CorsPolicy;
use crate::request::{Field, RequestView};

const METHOD: &str = "access-control-request-method";
const HEADERS: &str = "access-control-request-headers";

/// Whether a request with this method is a preflight, if it has an origin: a browser asks whether a
/// page may send another request (Fetch §3.2.2).
///
/// An adapter answers it in its layer, whatever [`Tenancy::cors`](crate::Tenancy::cors) says of it.
#[must_use]
pub fn is_preflight(request: &dyn RequestView, method: &str) -> bool {
    method == "OPTIONS" && request.header(METHOD) != Field::Absent
}

impl CorsPolicy {
    /// Whether the request that a preflight announces has a method and header fields as allowed.
    pub(crate) fn check_preflight(&self, request: &dyn RequestView) -> Result<(), &'static str> {
        match request.header(METHOD) {
            Field::One(wanted) if self.allowed_methods().any(|method| method == wanted) => {}
            _ => return Err("method-not-allowed"),
        }
        let wanted = match request.header(HEADERS) {
            Field::Absent => return Ok(()),
            Field::One(list) => list,
            Field::Repeated | Field::NotText => return Err("header-not-allowed"),
        };
        let allowed = |name: &str| {
            self.allowed_headers()
                .any(|header| header.eq_ignore_ascii_case(name))
        };
        let mut names = wanted.split(',').map(|name| name.trim_matches([' ', '\t']));
        if names.all(|name| name.is_empty() || allowed(name)) {
            Ok(())
        } else {
            Err("header-not-allowed")
        }
    }
}
