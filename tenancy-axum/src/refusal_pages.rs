//! The layer that shows refusals to people: a redirect to the page where one signs in, or a page of the
//! application.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_LENGTH};
use pin_project_lite::pin_project;
use tenancy_core::{ConfigError, Refusal};
use tenancy_http::{AskedPage, PageAnswer};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    fields::Fields,
    view::{HeadView, original_uri},
};

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
/// What it looks at is the [`Refusal`] in a response, wherever that was made: by the layer of tenancy, a guard, or a
/// handler's [`Error`](crate::Error). Put it outside of them, and inside of
/// [`SecurityHeadersLayer`](crate::SecurityHeadersLayer).
///
/// # Security
/// * `next` stands in the address of the page where one signs in, and anybody can write such an address. Go on to
///   what [`local_path`](crate::local_path) takes, and to nothing else.
/// * Show the [kind](Refusal::kind) of a refusal, or the title and detail of its [problem](Refusal::problem), and
///   never its [reason](Refusal::reason): that says which of several is the case where callers must not know.
///
/// # Example
/// ```
/// use axum::{Router, body::Body, routing::get};
/// use http::Request;
/// use tenancy_axum::{RefusalPages, TenancyLayer};
/// use tower::ServiceExt as _;
///
/// # use tenancy_core::{Identification, MemoryDirectory, Tenancy};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let tenancy = Tenancy::builder(MemoryDirectory::new())
/// #     .identification(Identification::new().subdomains_of("example.com"))
/// #     .established_principals()
/// #     .build()?;
/// let app: Router = Router::new()
///     .route("/notes", get(async || "notes"))
///     .layer(TenancyLayer::new(&tenancy))
///     .layer(RefusalPages::new().sign_in("/login")?.page(|refusal| {
///         format!("<!doctype html><title>Sorry</title><h1>{}</h1>", refusal.kind().status())
///     }));
///
/// let request = Request::get("/notes?page=2")
///     .header("host", "acme.example.com")
///     .header("accept", "text/html")
///     .body(Body::empty())?;
/// let answer = app.oneshot(request).await?;
/// assert_eq!(answer.status(), 303);
/// assert_eq!(answer.headers()["location"], "/login?next=/notes%3Fpage%3D2");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a layer does nothing until it is applied"]
pub struct RefusalPages(tenancy_http::RefusalPages);

impl RefusalPages {
    /// A layer that leaves all refusals as they are, until it is told otherwise.
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

impl<S> Layer<S> for RefusalPages {
    type Service = RefusalPagesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let pages = self.0.clone();
        RefusalPagesService { inner, pages }
    }
}

/// The service that [`RefusalPages`] makes.
#[derive(Debug, Clone)]
pub struct RefusalPagesService<S> {
    inner: S,
    pages: tenancy_http::RefusalPages,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RefusalPagesService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RefusalPagesFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let query = original_uri(request.uri(), request.extensions()).query();
        let asked = self.pages.asked(&HeadView::of(&request), query);
        let to_head = request.method() == Method::HEAD;
        RefusalPagesFuture {
            response: self.inner.call(request),
            asked,
            to_head,
        }
    }
}

pin_project! {
    /// The future of [`RefusalPagesService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RefusalPagesFuture<F> {
        #[pin]
        response: F,
        asked: AskedPage,
        to_head: bool,
    }
}

impl<F, ResBody, E> Future for RefusalPagesFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: From<String>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx))?;
        let Some(refusal) = response.extensions().get::<Refusal>() else {
            return Poll::Ready(Ok(response));
        };
        let answer = this.asked.answer(refusal);
        Poll::Ready(Ok(replaced(response, answer, *this.to_head)))
    }
}

fn replaced<B: From<String>>(
    mut response: Response<B>,
    answer: PageAnswer,
    to_head: bool,
) -> Response<B> {
    answer.write(&mut Fields(response.headers_mut()));
    let text = match answer {
        PageAnswer::Problem => return response,
        PageAnswer::Redirect(_) => {
            *response.status_mut() = StatusCode::SEE_OTHER;
            String::new()
        }
        PageAnswer::Page(html) if to_head => {
            // What GET would be told (RFC 9110 §8.6); a server would count the empty body instead.
            let length = HeaderValue::from(html.len());
            response.headers_mut().insert(CONTENT_LENGTH, length);
            String::new()
        }
        PageAnswer::Page(html) => html,
    };
    response.map(|_| B::from(text))
}

impl<F> fmt::Debug for RefusalPagesFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusalPagesFuture").finish_non_exhaustive()
    }
}
