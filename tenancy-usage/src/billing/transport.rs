//! Requests to a billing system, which somebody else sends.

use async_trait::async_trait;

use super::BillingError;

/// A request to a billing system.
///
/// ```
/// use tenancy_usage::billing::BillingRequest;
///
/// fn log(request: &BillingRequest) {
///     println!("{} {}", request.method, request.path);
/// }
/// # let _ = log;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BillingRequest {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path and query, such as `/v1/billing/meter_events`.
    pub path: String,
    /// The value of the field `Idempotency-Key`, if it is to be sent.
    pub idempotency_key: Option<String>,
    /// The body, of the type `application/x-www-form-urlencoded`; empty for `GET`.
    pub body: String,
}

/// An answer of a billing system.
///
/// ```
/// use tenancy_usage::billing::BillingResponse;
///
/// let answer = BillingResponse::new(200, r#"{"id":"cus_1"}"#);
/// assert_eq!(answer.status, 200);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BillingResponse {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl BillingResponse {
    /// An answer with this status and body.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            body: body.into(),
        }
    }
}

/// Sends requests to a billing system: an HTTPS client of yours, with the host, the fields `Authorization` and `Stripe-Version`, and a
/// time after which it gives up. This crate has no client, and sees no key.
///
/// ```
/// use tenancy_usage::billing::{BillingError, BillingRequest, BillingResponse, BillingTransport};
///
/// /// Answers as a test wants it.
/// #[derive(Debug)]
/// struct Always(BillingResponse);
///
/// #[tenancy_core::async_trait]
/// impl BillingTransport for Always {
///     async fn send(&self, _request: BillingRequest) -> Result<BillingResponse, BillingError> {
///         Ok(self.0.clone())
///     }
/// }
/// # let _ = Always(BillingResponse::new(200, "{}"));
/// ```
#[async_trait]
pub trait BillingTransport: Send + Sync + std::fmt::Debug {
    /// Sends a request, once, and waits for the answer, whatever its status.
    ///
    /// # Errors
    /// A [`BillingError`] of the kind [`Unavailable`](super::BillingErrorKind::Unavailable) if none comes.
    async fn send(&self, request: BillingRequest) -> Result<BillingResponse, BillingError>;
}
