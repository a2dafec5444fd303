//! A refusal as a response: the problem, its header fields, and nothing else.

use http::{HeaderValue, Response, StatusCode, header::CONTENT_LENGTH};
use tenancy_core::Refusal;

/// Makes the response. The refusal goes into its extensions for outer layers to see.
pub(crate) fn refusal_response<B: From<String>>(refusal: Refusal, to_head: bool) -> Response<B> {
    let problem = refusal.problem();
    let body = problem.to_json();
    let length = body.len();
    let mut response = Response::new(B::from(if to_head { String::new() } else { body }));
    *response.status_mut() =
        StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in problem.fields() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    if to_head {
        // What GET would be told (RFC 9110 §8.6); a server would count the empty body instead.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.extensions_mut().insert(refusal);
    response
}
