//! Configuration of `RemoteKeys`.

use std::time::Duration;

use super::{
    super::{
        algorithm::Algorithm,
        error::{JwtConfigError, JwtConfigErrorKind as Kind},
    },
    fetcher::JwksFetcher,
    jwk::KeyRule,
    keys::RemoteKeys,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Each timing with its bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) max_age: Duration,
    pub(super) cool_down: Duration,
    pub(super) stale_for: Duration,
    pub(super) timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(600),
            cool_down: Duration::from_secs(30),
            stale_for: 24 * HOUR,
            timeout: Duration::from_secs(5),
        }
    }
}

/// Builds [`RemoteKeys`]; made by [`RemoteKeys::builder`].
///
/// ```
/// use std::time::Duration;
///
/// use tenancy_core::jwt::{Algorithm, RemoteKeys};
/// # use tenancy_core::{async_trait, jwt::{FetchError, JwksFetcher}};
/// # #[derive(Debug)]
/// # struct Fetcher;
/// # #[async_trait]
/// # impl JwksFetcher for Fetcher {
/// #     async fn fetch(&self, _: usize) -> Result<Vec<u8>, FetchError> { Err(FetchError::new("nobody there")) }
/// # }
/// # let fetcher = Fetcher;
///
/// let keys = RemoteKeys::builder(fetcher)
///     .algorithm(Algorithm::ES256)
///     .max_age(Duration::from_secs(300))
///     .build()?;
/// # drop(keys);
/// # Ok::<(), tenancy_core::jwt::JwtConfigError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct RemoteKeysBuilder {
    fetcher: Box<dyn JwksFetcher>,
    rule: KeyRule,
    timing: Timing,
}

impl RemoteKeysBuilder {
    pub(super) fn new(fetcher: Box<dyn JwksFetcher>) -> Self {
        Self {
            fetcher,
            rule: KeyRule::default(),
            timing: Timing::default(),
        }
    }

    /// The algorithm of published keys that name none, such as those of Microsoft Entra ID.
    ///
    /// By default such keys are passed over: a key has exactly one algorithm, and a token must not
    /// choose it.
    pub fn assume_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.rule.assumed = Some(algorithm);
        self
    }

    /// Uses only keys of this algorithm; call it again for a further one.
    ///
    /// By default keys of every algorithm with a public key are used. Shared secrets never are.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.rule.allowed.push(algorithm);
        self
    }

    /// How old a key set may be before the next request has it fetched again, in the background.
    /// Default 10 minutes, from 10 seconds to 1 hour.
    ///
    /// Once it is twice as old, as after a time without requests, requests wait for the fetch. So
    /// a key that the issuer has withdrawn verifies for twice this time at most, unless the issuer
    /// does not answer.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.timing.max_age = age;
        self
    }

    /// The shortest time from the beginning of one fetch to that of the next, whatever callers
    /// send and however it ends. Default 30 seconds, from 1 second to 10 minutes.
    pub fn cool_down(mut self, pause: Duration) -> Self {
        self.timing.cool_down = pause;
        self
    }

    /// How old a key set may get while fetches fail. Default and maximum 24 hours.
    ///
    /// # Security
    /// It is also how long a withdrawn key is used if somebody keeps the issuer from being reached.
    pub fn stale_for(mut self, age: Duration) -> Self {
        self.timing.stale_for = age;
        self
    }

    /// How long a fetch may take. Default 5 seconds, from 100 milliseconds to 30 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timing.timeout = timeout;
        self
    }

    /// Builds the keys. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`JwtConfigError`] if a time is out of its bounds, if stale keys would go before fresh ones
    /// get old, or if an algorithm takes a shared secret.
    pub fn build(self) -> Result<RemoteKeys, JwtConfigError> {
        let Timing {
            max_age,
            cool_down,
            stale_for,
            timeout,
        } = self.timing;
        let second = Duration::from_secs(1);
        for (name, value, least, most) in [
            ("max_age", max_age, 10 * second, HOUR),
            ("cool_down", cool_down, second, 600 * second),
            ("stale_for", stale_for, max_age.saturating_mul(2), 24 * HOUR),
            ("timeout", timeout, second / 10, 30 * second),
        ] {
            if !(least..=most).contains(&value) {
                let message = format!("`{name}` is {value:?}; set it to {least:?} to {most:?}");
                return Err(JwtConfigError::new(Kind::RemoteTiming, message));
            }
        }
        let mut named = self.rule.allowed.iter().chain(&self.rule.assumed);
        if let Some(secret) = named.find(|algorithm| algorithm.is_symmetric()) {
            let message = format!("{secret} takes a shared secret, which nobody publishes");
            return Err(JwtConfigError::new(Kind::MixedKeys, message));
        }
        Ok(RemoteKeys::from_parts(self.fetcher, self.rule, self.timing))
    }
}
