//! Pages and redirects as responses.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentType, LOCATION},
    },
};
use askama::Template;
use tenancy::actix::Error;

/// The page, with what it may do. It is somebody's own, so that nobody keeps it.
pub(crate) fn page(status: StatusCode, view: &impl Template) -> Result<HttpResponse, Error> {
    let html = view.render().map_err(Error::internal)?;
    Ok(HttpResponse::build(status)
        .content_type(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, pages::CONTENT_SECURITY_POLICY))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(html))
}

/// Goes on to a path of this service.
pub(crate) fn redirect(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .finish()
}
