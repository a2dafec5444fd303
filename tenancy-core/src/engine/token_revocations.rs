//! Tokens that were taken back: the token revocations that this process knows of, and taking back more.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use super::{Admin, Inner, author::Stale};
use crate::{
    Actor, AuditEntry, ChangeAction, ChangeRecord, Outcome, Principal, RevokedBefore, StoreError,
    StoreErrorKind, TenantId, Timestamp, TokenSubject, change::Change,
};

/// How often a store is asked to forget token revocations.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// For how much longer a store keeps token revocations than processes do: their clocks differ.
const FORGET_MARGIN: Duration = Duration::from_secs(24 * 3_600);

/// Every token revocation that the feed has told of: all there are, as of the feed's last answer.
///
/// TokenRevocations are few, and nearly every token is newer than all of them: that is one comparison.
#[derive(Debug)]
pub(super) struct TokenRevocations {
    /// The newest of all, in microseconds.
    newest: AtomicI64,
    known: RwLock<HashMap<TokenSubject, RevokedBefore>>,
    /// When all that there are began to be read; long ago before the first time.
    read_at: AtomicI64,
    max_age: Duration,
    max_staleness: Duration,
    /// The longest lifetime of a token: a token revocation concerns none after it.
    lifetime: Duration,
    /// When a store was last asked to forget those.
    forgot_at: AtomicI64,
    /// Held by who reads them all while nobody waits for it.
    pub(super) reading: tokio::sync::Mutex<()>,
}

impl TokenRevocations {
    pub(super) fn new(max_age: Duration, max_staleness: Duration, lifetime: Duration) -> Self {
        Self {
            newest: AtomicI64::new(RevokedBefore::NONE.as_timestamp().as_unix_micros()),
            known: RwLock::default(),
            read_at: AtomicI64::new(i64::MIN),
            max_age,
            max_staleness,
            lifetime,
            forgot_at: AtomicI64::new(i64::MIN),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// Whether all should be read again, at leisure.
    pub(super) fn are_due(&self, now: Timestamp) -> bool {
        self.older_than(self.max_age / 2, now)
    }

    /// Whether all have to be read again before news may be believed: news is believed for as long as
    /// the staleness bound, and then they would be too old.
    pub(super) fn are_overdue(&self, now: Timestamp) -> bool {
        self.older_than(self.max_age.saturating_sub(self.max_staleness), now)
    }

    fn older_than(&self, age: Duration, now: Timestamp) -> bool {
        let read_at = Timestamp::from_unix_micros(self.read_at.load(Ordering::Acquire));
        // A clock that was set back says nothing about how old they are.
        read_at > now || now.since(read_at) >= age
    }

    /// Notes that all that there are have been taken in, as they were read from this moment on, and
    /// forgets those that concern no token any more.
    pub(super) fn were_read(&self, began: Timestamp) {
        let oldest = self.oldest(began);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let outlived = known
            .values()
            .any(|revoked_before| *revoked_before < oldest);
        drop(known);
        if outlived {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, revoked_before| *revoked_before >= oldest);
        }
        self.read_at
            .store(began.as_unix_micros(), Ordering::Release);
    }

    /// The first token revocation that may concern a token that counts.
    fn oldest(&self, now: Timestamp) -> RevokedBefore {
        RevokedBefore::from_timestamp(now - self.lifetime)
    }

    /// Whether a token was issued so long ago that its token revocation may be forgotten.
    pub(super) fn outlive(&self, issued_at: Option<Timestamp>, now: Timestamp) -> bool {
        issued_at.is_some_and(|issued| now.since(issued) > self.lifetime)
    }

    /// The first moment at which a token that was issued then is [outlived](Self::outlive).
    pub(super) fn outlived_at(&self, issued_at: Timestamp) -> Timestamp {
        issued_at + self.lifetime + Duration::from_micros(1)
    }

    /// When token revocations that are older may be deleted from a store, if it is time for that: once in an hour.
    pub(super) fn forget_before(&self, now: Timestamp) -> Option<RevokedBefore> {
        let forgot_at = Timestamp::from_unix_micros(self.forgot_at.load(Ordering::Relaxed));
        if forgot_at <= now && now.since(forgot_at) < FORGET_EVERY {
            return None;
        }
        self.forgot_at
            .store(now.as_unix_micros(), Ordering::Relaxed);
        Some(self.oldest(now - FORGET_MARGIN))
    }

    /// Takes in news. A token revocation never moves back.
    pub(super) fn raise(
        &self,
        news: impl IntoIterator<Item = (TokenSubject, RevokedBefore)>,
        now: Timestamp,
    ) {
        let oldest = self.oldest(now);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let is_news = |(of, revoked_before): &(TokenSubject, RevokedBefore)| {
            *revoked_before >= oldest && known.get(of).is_none_or(|had| had < revoked_before)
        };
        let news: Vec<_> = news.into_iter().filter(is_news).collect();
        drop(known);
        if news.is_empty() {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (of, revoked_before) in news {
            let before = known.entry(of).or_insert(RevokedBefore::NONE);
            *before = revoked_before.max(*before);
            let micros = revoked_before.as_timestamp().as_unix_micros();
            self.newest.fetch_max(micros, Ordering::SeqCst);
        }
    }

    /// The newest token revocation of any of these, as far as it matters to something issued then: it need
    /// not be exact if it admits.
    pub(super) fn concerning<const N: usize>(
        &self,
        of: impl FnOnce() -> [TokenSubject; N],
        issued_at: Option<Timestamp>,
    ) -> RevokedBefore {
        if self.admit_all_issued_at(issued_at) {
            return RevokedBefore::NONE;
        }
        let of = of();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let token_revocations = of.iter().filter_map(|of| known.get(of));
        token_revocations
            .copied()
            .max()
            .unwrap_or(RevokedBefore::NONE)
    }

    /// Whether no token that was issued then can have been taken back, whoever has it.
    pub(super) fn admit_all_issued_at(&self, issued_at: Option<Timestamp>) -> bool {
        let newest = Timestamp::from_unix_micros(self.newest.load(Ordering::SeqCst));
        RevokedBefore::from_timestamp(newest).admits(issued_at)
    }

    /// Whether a principal's token, if it has one, counts in a tenant.
    pub(super) fn admit(&self, principal: &Principal, tenant: TenantId) -> bool {
        let Some(actor) = holder(principal) else {
            return true;
        };
        let of = || [issuer(principal), actor, TokenSubject::Tenant(tenant)];
        let issued_at = principal.issued_at;
        self.concerning(of, issued_at).admits(issued_at)
    }
}

/// Whose token it is; `None` if it is none: a key has a record of its own, and is revoked there.
pub(super) fn holder(principal: &Principal) -> Option<TokenSubject> {
    match principal.actor {
        Actor::User(user) => Some(TokenSubject::User(user)),
        Actor::Service(service) => Some(TokenSubject::Service(service)),
        // What is taken back from a user is taken back from whoever acts as the user.
        Actor::Operator(_) => principal.on_behalf_of.map(TokenSubject::User),
        Actor::Key(_) | Actor::Anonymous | Actor::System | Actor::Job(_) => None,
    }
}

/// Who has issued a principal's token.
pub(super) fn issuer(principal: &Principal) -> TokenSubject {
    TokenSubject::Issuer(Arc::clone(&principal.issuer))
}

impl TokenRevocations {
    /// Has the store forget token revocations that concern no token any more, if it is time for it and this
    /// process may. What a store does not do, the next attempt does. Without a store this does nothing.
    pub(super) async fn forget_if_due(&self, inner: &Inner) {
        let Ok(store) = inner.stores.revocation_store() else {
            return;
        };
        let now = inner.clock.now();
        let Some(before) = self.forget_before(now) else {
            return;
        };
        let entry = AuditEntry::new(now, ChangeAction::TokenForget.as_str(), Outcome::Allowed);
        let record = ChangeRecord::new(entry.actor(Actor::System));
        match store.forget_token_revocations(before, &record).await {
            Ok(0) => {}
            Ok(forgotten) => {
                tracing::debug!(
                    forgotten,
                    "token revocations that concern no token any more"
                );
                inner.audit.record(record.entry);
            }
            Err(error) => {
                tracing::debug!(%error, "token revocations are not forgotten by this process")
            }
        }
    }
}

impl Admin {
    /// Takes back every token issued until now: of a user who has changed their password, of a
    /// service account whose secret has leaked, of an issuer whose signing key was stolen, or as far
    /// as it is used in a tenant. Streams and other held contexts end too. API keys go on.
    ///
    /// Tokens issued in the next second count again; a user who signs in anew at once waits that
    /// long. One token revocation is kept, however many tokens there are.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if the reason is blank, [`StoreErrorKind::ReadOnly`] if this
    /// process may not; the tokens then go on. [`StoreErrorKind::Unavailable`] if the store did not
    /// answer: this process then refuses the tokens, and the others if it was stored; try again.
    ///
    /// # Security
    /// - Holds at once in this process, elsewhere within
    ///   [`max_staleness`](crate::Tenancy::max_staleness), and in strict mode from the next
    ///   transaction on.
    /// - `iat` is the issuer's clock, and the moment of taking back is this process's. As far as the
    ///   issuer's runs ahead, and be it by little, tokens that it has just issued survive; call this
    ///   again later.
    /// - A token without `iat` is refused from then on.
    ///
    /// # Example
    /// ```
    /// use tenancy_core::{MemoryDirectory, Tenancy, TokenSubject, UserId, danger};
    /// # use tenancy_core::jwt::{Algorithm, JwtAuthenticator, VerificationKey};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
    /// # let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?;
    /// # let tenancy = Tenancy::builder(MemoryDirectory::new()).authenticator(tokens).build()?;
    /// # let alice = UserId::new();
    /// let authority = danger::service("the password was changed")?;
    /// tenancy.admin(authority).revoke_tokens(&TokenSubject::User(alice)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn revoke_tokens(&self, of: &TokenSubject) -> Result<(), StoreError> {
        self.author.authority.require_reason()?;
        let inner = self.author.engine.inner();
        let now = inner.clock.now();
        let revoked_before = RevokedBefore::revoking_at(now);
        let tenant = match of {
            TokenSubject::Tenant(tenant) => Some(*tenant),
            _ => None,
        };
        let change = Change::new(ChangeAction::TokenRevoke, tenant).to(of.kind(), of.subject());
        let store = async |record: ChangeRecord| {
            let news = Some((of.clone(), revoked_before));
            let mut raising = Raising::new(&inner.token_revocations, now, news);
            let done = match inner.stores.revocation_store() {
                Ok(store) => store.revoke_before(of, revoked_before, &record).await,
                Err(missing) => Err(missing),
            };
            if done
                .as_ref()
                .is_err_and(|error| error.kind() != StoreErrorKind::Unavailable)
            {
                raising.calm();
            }
            done
        };
        self.author.make(change, Stale::Nothing, store).await
    }

    /// Forgets the token revocations that concern only tokens issued before a moment, in the store. Returns how many
    /// were forgotten.
    ///
    /// Not needed where a process that may write them serves requests, such as an operator's: it does so
    /// by itself, once an hour, a day after the
    /// [longest lifetime of a token](crate::TenancyBuilder::longest_token_lifetime) has passed.
    /// Each process forgets what it holds in memory after that lifetime.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    ///
    /// # Security
    /// A token that was taken back and has not expired counts again. Subtract the longest lifetime
    /// of any issuer's tokens from now, and a day.
    pub async fn forget_token_revocations_before(
        &self,
        moment: Timestamp,
    ) -> Result<u64, StoreError> {
        let inner = self.author.engine.inner();
        let change = Change::new(ChangeAction::TokenForget, None);
        let before = RevokedBefore::from_timestamp(moment);
        self.author
            .make(change, Stale::Nothing, async |record| {
                let store = inner.stores.revocation_store()?;
                store.forget_token_revocations(before, &record).await
            })
            .await
    }
}

/// Takes a token revocation in when it is dropped: also if the caller gave up on storing it, which may have
/// been done.
pub(super) struct Raising<'a> {
    token_revocations: &'a TokenRevocations,
    now: Timestamp,
    news: Option<(TokenSubject, RevokedBefore)>,
}

impl<'a> Raising<'a> {
    pub(super) const fn new(
        token_revocations: &'a TokenRevocations,
        now: Timestamp,
        news: Option<(TokenSubject, RevokedBefore)>,
    ) -> Self {
        Self {
            token_revocations,
            now,
            news,
        }
    }

    /// Nothing was taken back.
    pub(super) fn calm(&mut self) {
        self.news = None;
    }
}

impl Drop for Raising<'_> {
    fn drop(&mut self) {
        self.token_revocations.raise(self.news.take(), self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserId;

    #[test]
    fn what_concerns_no_token_any_more_is_not_held() {
        let lifetime = Duration::from_secs(3_600);
        let token_revocations =
            TokenRevocations::new(Duration::from_secs(60), Duration::from_secs(5), lifetime);
        let held = || {
            token_revocations
                .known
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .len()
        };
        let now = Timestamp::from_unix_seconds(1_000_000);
        let news = |at: Timestamp| {
            (0..100).map(move |_| {
                (
                    TokenSubject::User(UserId::new()),
                    RevokedBefore::from_timestamp(at),
                )
            })
        };
        token_revocations.raise(news(now), now);
        token_revocations.raise(news(now - lifetime), now);
        assert_eq!(held(), 200);
        token_revocations.raise(news(now - lifetime - Duration::from_secs(1)), now);
        assert_eq!(held(), 200, "nobody needs those");
        token_revocations.were_read(now + Duration::from_secs(1));
        assert_eq!(held(), 100);
        token_revocations.were_read(now + lifetime + Duration::from_secs(1));
        assert_eq!(held(), 0);
    }
}
