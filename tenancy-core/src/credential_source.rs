//! Where in a request a credential stands, and whether browsers send it by themselves.

mod check;

use std::{fmt, sync::Arc};

use crate::{Rejection, RequestView};

type ReadRequest = Arc<dyn Fn(&dyn RequestView) -> Result<Option<String>, Rejection> + Send + Sync>;

/// Where in a request a credential stands: an `Authorization` scheme, a header field, a cookie, a
/// client certificate, or whatever the application reads out of the request.
///
/// An [`Authenticator`](crate::Authenticator) says by
/// [`sources`](crate::Authenticator::sources) where its credentials come from; by default that is
/// `Authorization: Bearer`. [`TenancyBuilder::authenticator_from`](crate::TenancyBuilder::authenticator_from)
/// gives it others.
///
/// A request with credentials in two places is refused with status 401, whatever they are: which of
/// two would count is nothing that a caller may choose. An `Authorization` field counts as one, also
/// where no authenticator reads its scheme.
///
/// # Security
/// A cookie, a client certificate and what a browser has been told for `Basic` go along with every
/// request that a browser makes, also with one that a page of somebody else makes (CSRF). With a
/// credential from such a source, a request whose method is not GET, HEAD, OPTIONS or TRACE, and the
/// handshake of a websocket, must show that a page of the service sent it: `Sec-Fetch-Site` says
/// `same-origin` or `none`, or `Origin` is the host that the request goes to, or is one that a
/// [`CorsPolicy`](crate::CorsPolicy) [with credentials](crate::CorsPolicy::credentials)
/// [lists](crate::CorsPolicy::origin), or is the own host of the tenant that the request is about. On
/// a central route no tenant's page is a proof. All else is refused with
/// [`OriginNotAllowed`](crate::RefusalKind::OriginNotAllowed), also a request that says neither. A GET
/// must therefore change nothing.
///
/// # Example: sessions in a cookie, and an older name of a header field
/// ```
/// use tenancy_core::CredentialSource;
///
/// let session = CredentialSource::cookie("__Host-session");
/// let tokens = [CredentialSource::bearer(), CredentialSource::header("x-access-token")];
/// assert!(session.is_sent_by_browsers());
/// assert!(!tokens.iter().any(CredentialSource::is_sent_by_browsers));
/// ```
#[derive(Clone)]
#[must_use]
pub struct CredentialSource {
    pub(crate) place: Place,
    pub(crate) needs_same_origin: bool,
}

#[derive(Clone)]
pub(crate) enum Place {
    /// The scheme of `Authorization`, and what a 401 says about it.
    Scheme {
        name: Box<str>,
        challenge: Box<str>,
    },
    Header(Box<str>),
    Cookie(Box<str>),
    ClientCertificate(Box<str>),
    Request {
        name: Box<str>,
        read: ReadRequest,
    },
}

/// Schemes whose credentials a browser remembers and sends by itself.
const REMEMBERED_BY_BROWSERS: [&str; 4] = ["basic", "digest", "negotiate", "ntlm"];

impl CredentialSource {
    const fn new(place: Place, needs_same_origin: bool) -> Self {
        Self {
            place,
            needs_same_origin,
        }
    }

    /// `Authorization: Bearer …` (RFC 6750 §2.1). The default of every authenticator.
    pub fn bearer() -> Self {
        Self::scheme("Bearer")
    }

    /// `Authorization` with this scheme, such as `Token`. The credential is what follows the scheme.
    ///
    /// Browsers remember and send `Basic`, `Digest`, `Negotiate` and `NTLM` by themselves, and no
    /// other.
    pub fn scheme(name: &str) -> Self {
        let remembered = |one: &str| one.eq_ignore_ascii_case(name);
        let place = Place::Scheme {
            name: name.into(),
            challenge: name.into(),
        };
        Self::new(
            place,
            REMEMBERED_BY_BROWSERS.iter().any(|one| remembered(one)),
        )
    }

    /// `Authorization: Basic …` (RFC 7617), for this realm: what a browser calls the service when it
    /// asks for a password. The credential is the base64 of `user:password`.
    pub fn basic(realm: &str) -> Self {
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        let place = Place::Scheme {
            name: "Basic".into(),
            challenge: challenge.into(),
        };
        Self::new(place, true)
    }

    /// A header field of this name, whose whole value is the credential. For several names, give an
    /// authenticator several sources.
    pub fn header(name: &str) -> Self {
        Self::new(Place::Header(name.to_ascii_lowercase().into()), false)
    }

    /// A cookie of this name. Its value is the credential, as it was sent.
    ///
    /// # Security
    /// Give it a name that begins with `__Host-`, so that no other host, such as that of another
    /// tenant, can set it; or with `__Secure-` where it is meant for all subdomains. Two cookies of
    /// this name in one request are refused.
    pub fn cookie(name: &str) -> Self {
        Self::new(Place::Cookie(name.into()), true)
    }

    /// The subject of a client certificate, as a trusted proxy that has verified it writes it into
    /// this header field. The credential is the whole value, such as `CN=billing,O=Acme`. An empty
    /// field is none.
    ///
    /// # Security
    /// Counts only from [trusted proxies](crate::Identification::trusted_proxies); with the field from
    /// anybody else, a request is refused. Each proxy must set the field or remove it: a proxy that
    /// passes on a client's lets each client be whom it says it is.
    pub fn client_certificate(header: &str) -> Self {
        let place = Place::ClientCertificate(header.to_ascii_lowercase().into());
        Self::new(place, true)
    }

    /// Whatever the application reads out of the request: a signature over method, path and several
    /// fields, for instance. The name is for error messages.
    ///
    /// `read` returns `None` if the request has no such credential, and else everything that the
    /// authenticator has to know, as one text of at most
    /// [`MAX_CREDENTIAL_LEN`](crate::MAX_CREDENTIAL_LEN) bytes. The authenticator sees that text and
    /// not the request: so what it decides depends on nothing else, and can be remembered.
    ///
    /// Taken for something that browsers send by themselves.
    ///
    /// # Security
    /// Treat repeated fields as a fault and not as none: see [`Field`](crate::Field).
    ///
    /// ```
    /// use tenancy_core::{CredentialSource, Field, Rejection};
    ///
    /// let signed = CredentialSource::request("signature", |request| match request.header("x-signature") {
    ///     Field::Absent => Ok(None),
    ///     Field::One(signature) => {
    ///         Ok(Some(format!("{signature}\n{}\n{}", request.method(), request.path())))
    ///     }
    ///     _ => Err(Rejection::new("signature-malformed")),
    /// })
    /// .danger_accept_cross_site(); // no browser signs by itself
    /// # let _ = signed;
    /// ```
    pub fn request<F>(name: &str, read: F) -> Self
    where
        F: Fn(&dyn RequestView) -> Result<Option<String>, Rejection> + Send + Sync + 'static,
    {
        let place = Place::Request {
            name: name.into(),
            read: Arc::new(read),
        };
        Self::new(place, true)
    }

    /// Takes the credential also from requests that a page of another site may have made a visitor's
    /// browser send.
    ///
    /// # Security
    /// Then any page on the web can have its visitors change things here, in their name. Right only
    /// where no browser sends the credential by itself, or where the application checks a token
    /// against CSRF of its own in every handler that changes something.
    pub fn danger_accept_cross_site(mut self) -> Self {
        self.needs_same_origin = false;
        self
    }

    /// Whether a credential from here demands a proof that a page of the service sent the request:
    /// browsers send it by themselves, and nothing else was said by
    /// [`danger_accept_cross_site`](Self::danger_accept_cross_site).
    #[must_use]
    pub const fn is_sent_by_browsers(&self) -> bool {
        self.needs_same_origin
    }
}

/// The place, as error messages name it.
impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Scheme { name, .. } => write!(f, "`Authorization: {name}`"),
            Place::Header(name) => write!(f, "the header `{name}`"),
            Place::Cookie(name) => write!(f, "the cookie `{name}`"),
            Place::ClientCertificate(name) => write!(f, "the certificate's subject in `{name}`"),
            Place::Request { name, .. } => write!(f, "the application's own `{name}`"),
        }
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialSource")
            .field("place", &format_args!("{self}"))
            .field("needs_same_origin", &self.needs_same_origin)
            .finish()
    }
}
