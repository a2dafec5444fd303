//! A refusal as a response: the problem, its header fields, and nothing else.

use actix_web::{
    HttpResponse,
    body::BoxBody,
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue},
    },
};
use tenancy_core::Refusal;

/// Makes the response. The refusal goes into its extensions for outer middleware to see.
///
/// The server leaves the body out of the answer to HEAD, and says its length.
pub(crate) fn refusal_response(refusal: Refusal) -> HttpResponse<BoxBody> {
    let problem = refusal.problem();
    let status =
        StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::with_body(status, BoxBody::new(problem.to_json()));
    for (name, value) in problem.fields() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            let _ = response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
    response.extensions_mut().insert(refusal);
    response
}
