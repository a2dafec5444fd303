//! What is held of a source's issuers, and asking about them.

use std::{error::Error, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::timeout};

use super::super::{
    super::{cache::TokenCache, validator::JwtAuthenticator},
    source::IssuerSource,
};
use crate::{
    DirectoryError, LookupError, Timestamp,
    cache::{CacheVersion, CacheVersions, Lookup, MaxAge, Probe},
};

/// What an issuer with its keys is taken to weigh.
const TYPICAL: usize = 4 << 10;

/// How many bytes of issuers are held: some 10,000.
const BYTES: usize = 10_000 * TYPICAL;

/// How long a name is believed to be nobody's.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// How many names that are not known are asked about at a time.
const UNKNOWN_AT_ONCE: usize = 8;

/// How long the source may take to answer, in real time.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// An issuer that the source knew when it was asked last.
struct Held<R> {
    record: R,
    authenticator: Arc<JwtAuthenticator>,
    asked_at: Timestamp,
    /// From before it was asked. Another one counts now if something was forgotten since.
    version: CacheVersion,
}

/// What memory says of an issuer.
pub(super) enum Known {
    Trusted(Arc<JwtAuthenticator>),
    Nobody,
    /// The source has to be asked.
    Ask,
}

/// A source, and the issuers it knew.
pub(super) struct Issuers<S: IssuerSource> {
    pub(super) source: S,
    held: Lookup<Arc<str>, Arc<Held<S::Record>>>,
    versions: CacheVersions,
    unknown: Semaphore,
}

impl<S: IssuerSource> Issuers<S> {
    pub(super) fn new(source: S) -> Self {
        Self {
            source,
            held: Lookup::new(BYTES, ABSENT_FOR, MaxAge::NONE),
            versions: CacheVersions::new(),
            unknown: Semaphore::new(UNKNOWN_AT_ONCE),
        }
    }

    pub(super) fn forget(&self) {
        self.versions.drop_all();
    }

    pub(super) fn known(&self, issuer: &str, max_age: Duration, now: Timestamp) -> Known {
        match self.probe(issuer, now) {
            // A clock that was set back tells no age.
            Probe::Found(held, _)
                if held.version == self.versions.of_any()
                    && now >= held.asked_at
                    && now.since(held.asked_at) < max_age =>
            {
                Known::Trusted(Arc::clone(&held.authenticator))
            }
            Probe::Absent => Known::Nobody,
            Probe::Found(..) | Probe::Unknown => Known::Ask,
        }
    }

    /// Asks the source, or waits for the answer that another request has asked for.
    pub(super) async fn ask(
        self: &Arc<Self>,
        issuer: Arc<str>,
        tokens: Option<&Arc<TokenCache>>,
        now: Timestamp,
    ) -> Result<Option<Arc<JwtAuthenticator>>, LookupError> {
        let before = self.versions.of_any();
        let asking = self.held.load(&issuer, before, now, || {
            let (this, issuer, tokens) = (Arc::clone(self), Arc::clone(&issuer), tokens.cloned());
            async move {
                let found = this.find(&issuer, tokens.as_ref(), before, now).await;
                found.map_err(DirectoryError::new)
            }
        });
        let (read_at, found) = asking.await;
        let found = found.map_err(cause)?;
        match &found {
            Some(held) => {
                let kept = Arc::clone(held);
                self.held.keep(&issuer, kept, TYPICAL, before, read_at);
            }
            None => self
                .held
                .keep_absent(&issuer, issuer.len(), before, read_at),
        }
        Ok(found.map(|held| Arc::clone(&held.authenticator)))
    }

    /// Says what is held, and be it old: from an old one a new one may be made.
    fn probe(&self, issuer: &str, now: Timestamp) -> Probe<Arc<Held<S::Record>>> {
        let version = || self.versions.of_any();
        self.held.probe(issuer, |held| held.version, version, now)
    }

    async fn find(
        &self,
        issuer: &str,
        tokens: Option<&Arc<TokenCache>>,
        version: CacheVersion,
        now: Timestamp,
    ) -> Result<Option<Arc<Held<S::Record>>>, LookupError> {
        let former = match self.probe(issuer, now) {
            Probe::Found(held, _) => Some(held),
            _ => None,
        };
        // Whoever is known is asked about without regard to how many are not.
        let _turn = match former {
            Some(_) => None,
            None => Some(self.unknown.try_acquire().map_err(|_| {
                LookupError::new("too many names that are not known are being looked up")
            })?),
        };
        let asked = timeout(ASK_TIMEOUT, self.source.find_issuer(issuer)).await;
        let too_late = |_| LookupError::new("the source of issuers did not answer in time");
        let Some(record) = asked.map_err(too_late)?? else {
            return Ok(None);
        };
        let authenticator = match former {
            Some(former) if former.record == record => Arc::clone(&former.authenticator),
            _ => {
                let authenticator = self.source.authenticator(issuer, &record)?;
                Arc::new(authenticator.sharing(tokens))
            }
        };
        // A store that compares loosely would have one issuer held under many names.
        if *authenticator.issuer() != *issuer {
            return Ok(None);
        }
        Ok(Some(Arc::new(Held {
            record,
            authenticator,
            asked_at: now,
            version,
        })))
    }
}

/// What went wrong, without the words of a cache that is made for directories.
fn cause(error: DirectoryError) -> LookupError {
    let shared = error.source().and_then(<dyn Error>::downcast_ref);
    let shared: Option<&Arc<dyn Error + Send + Sync>> = shared;
    let cause = shared.and_then(|shared| shared.downcast_ref::<LookupError>());
    cause.cloned().unwrap_or_else(|| LookupError::new(error))
}
