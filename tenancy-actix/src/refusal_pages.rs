//! The middleware that shows refusals to people: a redirect to the page where one signs in, or a page of the
//! application.

use std::{
    fmt,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll, ready as when_ready},
};

use actix_web::{
    Error,
    body::{BoxBody, EitherBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    http::StatusCode,
};
use pin_project_lite::pin_project;
use tenancy_core::{ConfigError, Refusal};
use tenancy_http::{AskedPage, PageAnswer};

use crate::{fields::Fields, view::HeadView};

/// Shows refusals as pages where a browser shows them to a person, for services that answer with HTML.
///
/// Without it, each refusal is a problem in JSON. Of a request whose `Accept` names `text/html`:
///
/// | the refusal | answer |
/// |---|---|
/// | status 401, the request is a navigation | 303 to the path of [`sign_in`](Self::sign_in), with the path to go on to as `next` |
/// | any other | its status, with the HTML of [`page`](Self::page) |
///
/// A navigation is a GET or HEAD whose `Sec-Fetch-Mode`, if the browser says it, is `navigate`. A refusal of the
/// page where one signs in never redirects to itself. All else stays a problem. The
/// [`Refusal`] stays in the extensions of the response.
///
/// What it looks at is the [`Refusal`] in a response, wherever that was made: by the tenancy's middleware, a guard, or a
/// handler's [`Error`](crate::Error). Put it outside of them, and inside of
/// [`SecurityHeadersMiddleware`](crate::SecurityHeadersMiddleware).
///
/// # Security
/// * `next` stands in the address of the page where one signs in, and anybody can write such an address. Go on to
///   what [`local_path`](crate::local_path) takes, and to nothing else.
/// * Show the [kind](Refusal::kind) of a refusal, or the title and detail of its [problem](Refusal::problem), and
///   never its [reason](Refusal::reason): that says which of several is the case where callers must not know.
///
/// # Example
/// ```
/// use actix_web::{App, test, web};
/// use tenancy_actix::{RefusalPages, TenancyMiddleware};
///
/// # use tenancy_core::{Identification, MemoryDirectory, Tenancy};
/// # async fn notes() -> &'static str { "notes" }
/// # #[actix_web::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let tenancy = Tenancy::builder(MemoryDirectory::new())
/// #     .identification(Identification::new().subdomains_of("example.com"))
/// #     .established_principals()
/// #     .build()?;
/// let app = App::new()
///     .route("/notes", web::get().to(notes))
///     .wrap(TenancyMiddleware::new(&tenancy))
///     .wrap(RefusalPages::new().sign_in("/login")?.page(|refusal| {
///         format!("<!doctype html><title>Sorry</title><h1>{}</h1>", refusal.kind().status())
///     }));
///
/// let app = test::init_service(app).await;
/// let request = test::TestRequest::get()
///     .uri("/notes?page=2")
///     .insert_header(("host", "acme.example.com"))
///     .insert_header(("accept", "text/html"))
///     .to_request();
/// let answer = test::call_service(&app, request).await;
/// assert_eq!(answer.status(), 303);
/// let to = answer.headers().get("location").and_then(|to| to.to_str().ok());
/// assert_eq!(to, Some("/login?next=/notes%3Fpage%3D2"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a middleware does nothing until it is applied"]
pub struct RefusalPages(tenancy_http::RefusalPages);

impl RefusalPages {
    /// A middleware that leaves all refusals as they are, until it is told otherwise.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a navigation that is refused with status 401 to this path of the same host, with status 303. Default:
    /// it is refused like any other request.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is no path of the same host, or has a query.
    pub fn sign_in(self, path: &str) -> Result<Self, ConfigError> {
        self.0.sign_in(path).map(Self)
    }

    /// Makes HTML of all other refusals of requests that accept HTML; it is sent with the refusal's status. Default:
    /// they stay problems.
    pub fn page(self, page: impl Fn(&Refusal) -> String + Send + Sync + 'static) -> Self {
        Self(self.0.page(page))
    }
}

impl<S, B> Transform<S, ServiceRequest> for RefusalPages
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = RefusalPagesService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        let pages = self.0.clone();
        ready(Ok(RefusalPagesService { inner, pages }))
    }
}

/// The service that [`RefusalPages`] makes.
#[derive(Debug)]
pub struct RefusalPagesService<S> {
    inner: S,
    pages: tenancy_http::RefusalPages,
}

impl<S, B> Service<ServiceRequest> for RefusalPagesService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = RefusalPagesFuture<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let query = request.uri().query();
        let asked = self.pages.asked(&HeadView::of(request.request()), query);
        let response = self.inner.call(request);
        RefusalPagesFuture { response, asked }
    }
}

pin_project! {
    /// The future of [`RefusalPagesService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RefusalPagesFuture<F> {
        #[pin]
        response: F,
        asked: AskedPage,
    }
}

impl<F, B> Future for RefusalPagesFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = when_ready!(this.response.poll(cx))?;
        let refusal = response.response().extensions().get::<Refusal>().cloned();
        Poll::Ready(Ok(match refusal {
            Some(refusal) => replaced(response, this.asked.answer(&refusal)),
            None => response.map_into_left_body(),
        }))
    }
}

/// The server leaves the body out of the answer to HEAD, and says its length.
fn replaced<B>(
    mut response: ServiceResponse<B>,
    answer: PageAnswer,
) -> ServiceResponse<EitherBody<B>> {
    answer.write(&mut Fields(response.headers_mut()));
    let text = match answer {
        PageAnswer::Problem => return response.map_into_left_body(),
        PageAnswer::Redirect(_) => {
            *response.response_mut().status_mut() = StatusCode::SEE_OTHER;
            String::new()
        }
        PageAnswer::Page(html) => html,
    };
    let replaced = response.map_body(|_, _| BoxBody::new(text));
    replaced.map_into_right_body()
}

impl<F> fmt::Debug for RefusalPagesFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalPagesFuture").finish_non_exhaustive()
    }
}
