//! Signatures of webhooks.

use std::{fmt, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tenancy_core::{ConfigError, Timestamp};

use super::{WebhookError, WebhookErrorKind};

/// The secret by which a billing system signs its webhooks, in Stripe's scheme.
///
/// The header has the time in seconds and one or more signatures: `t=1492774577,v1=5257a8…`. A signature is the HMAC-SHA-256, under
/// the secret, of the time as it is written, a full stop, and the body as it was received, in hexadecimal digits. Source:
/// <https://docs.stripe.com/webhooks/signature>, "Verify webhook signatures manually". Signatures of other schemes, such as `v0`, are
/// not looked at.
///
/// ```
/// use tenancy_core::Timestamp;
/// use tenancy_usage::billing::WebhookSecret;
///
/// let secret = WebhookSecret::new("whsec_0123456789abcdef0123456789abcdef")?;
/// let now = Timestamp::from_unix_seconds(1_800_000_000);
/// let body = br#"{"type":"customer.subscription.updated"}"#;
/// let header = secret.sign(body, now); // as the billing system does
/// secret.verify(&header, body, now)?;
/// assert!(secret.verify(&header, b"{}", now).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
/// Give [`verify`](Self::verify) the body as it came, before anything reads it. A signature that was right once is right again for as
/// long as is tolerated: what is done on a webhook has to be the same when it is done twice, as
/// [`Subscription::apply`](crate::subscription::Subscription::apply) is. Signatures are compared in constant time. `Debug` shows no
/// secret.
#[derive(Clone)]
#[must_use]
pub struct WebhookSecret {
    keyed: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
    tolerance: Duration,
}

/// Headers with more signatures than this are not read.
const MAX_SIGNATURES: usize = 8;

impl WebhookSecret {
    /// How many bytes a secret has at least.
    pub const MIN_SECRET_LEN: usize = 16;

    /// The secret of an endpoint, as the billing system shows it: with Stripe, all of `whsec_…`.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is so short that it can be guessed.
    pub fn new(secret: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            keyed: keyed(secret)?,
            previous: None,
            tolerance: Duration::from_secs(300),
        })
    }

    /// Also believes what is signed by another secret, while one takes the place of the other.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is so short that it can be guessed.
    pub fn with_previous(mut self, secret: &str) -> Result<Self, ConfigError> {
        self.previous = Some(keyed(secret)?);
        Ok(self)
    }

    /// How far from the clock a signature's time may be. Default: 5 minutes.
    pub const fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Makes sure that a body was signed by who knows the secret, just now.
    ///
    /// # Errors
    /// A [`WebhookError`]: the header is none, no signature is right, or the time is out of tolerance. The time is looked at last, so
    /// that a stranger learns nothing from it.
    pub fn verify(&self, header: &str, body: &[u8], now: Timestamp) -> Result<(), WebhookError> {
        let malformed = WebhookError::new(
            WebhookErrorKind::Malformed,
            "the header of the signature is not `t=<seconds>,v1=<signature>`",
        );
        let mut time = None;
        let mut signatures = Vec::new();
        for part in header.split(',') {
            match part.trim().split_once('=') {
                Some(("t", text)) if time.is_none() => time = Some(text),
                // Two times: which of them is signed?
                Some(("t", _)) => return Err(malformed),
                Some(("v1", text)) => signatures.push(text),
                Some(_) => {}
                None => return Err(malformed),
            }
        }
        let (Some(text), 1..=MAX_SIGNATURES) = (time, signatures.len()) else {
            return Err(malformed);
        };
        let is_whole = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let seconds = text.parse::<i64>().ok().filter(|_| is_whole);
        let signed_at = seconds.map(Timestamp::from_unix_seconds).ok_or(malformed)?;
        let is_right = |signature: &&str| {
            let Some(bytes) = digest_of(signature) else {
                return false;
            };
            let secrets = std::iter::once(&self.keyed).chain(&self.previous);
            // Each is compared in constant time, and which of them is right is no secret.
            secrets.fold(false, |right, keyed| {
                right | over(keyed, text, body).verify_slice(&bytes).is_ok()
            })
        };
        if !signatures.iter().any(is_right) {
            return Err(WebhookError::new(
                WebhookErrorKind::WrongSignature,
                "no signature is right; is the secret the one of this endpoint, and the body as it was received?",
            ));
        }
        if now.since(signed_at) > self.tolerance || signed_at.since(now) > self.tolerance {
            return Err(WebhookError::new(
                WebhookErrorKind::OutOfTime,
                "it was signed too long ago or in the future; it may be a replay, or a clock is wrong",
            ));
        }
        Ok(())
    }

    /// The header that a billing system sends with a body: for tests, and for webhooks of your own.
    #[must_use]
    pub fn sign(&self, body: &[u8], now: Timestamp) -> String {
        let time = now.as_unix_seconds().to_string();
        let bytes = over(&self.keyed, &time, body).finalize().into_bytes();
        let signature = crate::UsageDigest::from_bytes(bytes.into());
        format!("t={time},v1={signature}")
    }
}

fn keyed(secret: &str) -> Result<Hmac<Sha256>, ConfigError> {
    let short = || {
        ConfigError::new(format!(
            "the secret of a webhook has {} bytes; give the one that the billing system shows, of {} or more",
            secret.len(),
            WebhookSecret::MIN_SECRET_LEN
        ))
    };
    if secret.len() < WebhookSecret::MIN_SECRET_LEN {
        return Err(short());
    }
    Hmac::new_from_slice(secret.as_bytes()).map_err(|_| short())
}

fn over(keyed: &Hmac<Sha256>, time: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = keyed.clone();
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn digest_of(hex: &str) -> Option<[u8; 32]> {
    crate::UsageDigest::from_hex(hex).map(|digest| *digest.as_bytes())
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSecret")
            .field("has_previous", &self.previous.is_some())
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}
