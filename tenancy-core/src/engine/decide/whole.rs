//! Decisions that are remembered whole: what may be, and whether one counts now.

use std::{
    hash::{Hash as _, Hasher as _},
    sync::Arc,
};

use super::{Decider, Step};
use crate::{
    Credential, Principal, TenantNeed, Timestamp,
    cache::CacheVersion,
    digest::Digest,
    engine::context::{Parts, Whole},
    engine::keys::CachedKey,
    engine::{
        facts::PresentedCredential,
        front::{Memo, Standing},
        keys::Keys,
        token_revocations::holder,
    },
    identification::HintKeys,
};

impl Decider<'_> {
    /// What stands for all that the request says, if an answer to it can be remembered whole.
    ///
    /// A key is none of it: see [`remembered_with_key`](Self::remembered_with_key).
    pub(super) fn asked(&self) -> Option<Digest> {
        let text = self.lasting_credential()?.expose();
        if (self.engine.keys.as_ref()).is_some_and(|keys| keys.config.recognizes(text)) {
            return None;
        }
        let hints = self.facts.hints.as_ref().ok()?;
        let project = self.facts.project.as_ref().ok()?;
        Digest::of(|hasher| {
            // The same text is another credential where it stands at another place.
            self.facts.source.hash(hasher);
            hasher.write(text.as_bytes());
            // No text of a credential has this byte.
            hasher.write_u8(0xff);
            HintKeys(hints).hash(hasher);
            project.hash(hasher);
        })
    }

    /// The credential, if an answer to it may be remembered whole.
    fn lasting_credential(&self) -> Option<Credential<'_>> {
        let PresentedCredential::Text(credential) = &self.facts.presented else {
            return None;
        };
        let central = self.facts.needs.tenant == TenantNeed::Central;
        if self.engine.front.is_none() || central || !self.loaded.is_empty() {
            return None;
        }
        // A page of another site may have sent it, or it counts as none.
        let counts = self.facts.cross_site.is_none() && !self.visitor;
        counts.then_some(*credential)
    }

    /// The decision about a request with the same key, hints and project, if the slow way would decide so now.
    ///
    /// The key itself is looked at as the slow way does, and before: its text, its record, the caller's address.
    /// What remains is the tenant, the membership of the key's creator and its role, and the project.
    pub(super) fn remembered_with_key(&self) -> Step<Option<Arc<Whole>>> {
        let Some((keys, credential, asked)) = self.asked_with_key() else {
            return Ok(None);
        };
        let known = self.usable_holder(keys, credential)?;
        let counts = |memo: &Memo| {
            let engine = self.engine;
            memo.asked == asked
                && !engine.feed.is_stale(self.now)
                && !engine.feed.is_marked_stale(memo.tenant)
                && engine.versions.of(memo.tenant) == memo.version
                && (memo.from..memo.until).contains(&self.now)
        };
        let whole = known.last_decided();
        let whole = whole.filter(|whole| whole.memo.as_ref().is_some_and(counts));
        if whole.is_none() {
            let _ = self.known_key.set((known, asked));
        }
        Ok(whole)
    }

    /// The key that is presented, and what stands for the rest of what the request says.
    fn asked_with_key(&self) -> Option<(&Keys, Credential<'_>, Digest)> {
        let keys = self.engine.keys.as_ref()?;
        let credential = self.lasting_credential()?;
        let source = self.engine.sources.get(self.facts.source?)?;
        if !source.keys || !keys.config.recognizes(credential.expose()) {
            return None;
        }
        // Whether the secret of an imported key is right is remembered elsewhere.
        #[cfg(feature = "argon2")]
        if (keys.imported.as_ref())
            .is_some_and(|imported| imported.config.format.recognizes(credential.expose()))
        {
            return None;
        }
        let hints = self.facts.hints.as_ref().ok()?;
        let project = self.facts.project.as_ref().ok()?;
        let asked = Digest::of(|hasher| {
            HintKeys(hints).hash(hasher);
            project.hash(hasher);
        })?;
        Some((keys, credential, asked))
    }

    /// What a decision about a key has to be compared with that was made from caches alone; `None` if the tenant
    /// may have changed since `before`, when it began.
    fn key_memo(
        &self,
        known: &CachedKey,
        asked: Digest,
        parts: &Parts,
        before: CacheVersion,
    ) -> Option<Memo> {
        let engine = self.engine;
        let tenant = parts.tenant.id;
        let version = engine.versions.of(tenant);
        if !engine.versions.undisturbed_since(before) {
            return None;
        }
        let too_old = self.read_at.get().min(parts.read_at) + engine.max_age.as_duration();
        let ends_at = known.principal.expires_at;
        Some(Memo {
            asked,
            tenant,
            version,
            from: self.now,
            until: ends_at.map_or(too_old, |end| end.min(too_old)),
            issued_at: None,
            standing: None,
        })
    }

    /// The decision about the same, if the slow way would decide so now: news is fresh, no token was
    /// taken back that this one could be, the authenticators stand by what they said, the credential
    /// holds, nothing is too old, and nothing about the tenant has changed.
    pub(super) fn remembered_whole(&self, asked: Digest) -> Option<Arc<Whole>> {
        let engine = self.engine;
        let whole = engine.front.as_ref()?.get(asked, self.now)?;
        let memo = whole.memo.as_ref()?;
        // Whether there is news comes before what it says.
        let counts = !engine.feed.is_stale(self.now)
            && engine.token_revocations.admit_all_issued_at(memo.issued_at)
            && engine.versions.of(memo.tenant) == memo.version
            && (memo.from..memo.until).contains(&self.now)
            && (memo.standing.as_ref())
                .is_some_and(|standing| standing.lasts(&engine.authenticators, self.now));
        counts.then_some(whole)
    }

    /// The decision as a whole, which is remembered if it may be.
    pub(super) fn whole(
        &self,
        asked: Option<Digest>,
        principal: &Arc<Principal>,
        parts: Arc<Parts>,
        before: CacheVersion,
    ) -> Arc<Whole> {
        let memo = match self.known_key.get() {
            Some((known, asked)) => self.key_memo(known, *asked, &parts, before),
            None => asked.and_then(|asked| self.memo(asked, principal, &parts, before)),
        };
        let whole = Arc::new(Whole {
            memo,
            parts,
            principal: Arc::clone(principal),
            has_own_limits: !principal.limits.are_none(),
            read_at: self.read_at.get(),
        });
        match (&self.engine.front, &whole.memo, self.known_key.get()) {
            (Some(_), Some(_), Some((known, _))) => known.keep_decided(&whole),
            (Some(front), Some(_), None) => front.keep(&whole, self.now),
            _ => {}
        }
        whole
    }

    /// What a decision has to be compared with that was made from caches alone; `None` if it can't be
    /// remembered, because a tenant has changed since `before`, when it began, among other reasons.
    fn memo(
        &self,
        asked: Digest,
        principal: &Principal,
        parts: &Parts,
        before: CacheVersion,
    ) -> Option<Memo> {
        let engine = self.engine;
        let index = self.verified_by.get()?;
        let tenant = parts.tenant.id;
        let version = engine.versions.of(tenant);
        if !engine.versions.undisturbed_since(before) {
            return None;
        }
        let source = self.facts.source.and_then(|at| engine.sources.get(at));
        let order = source.map_or(&[][..], |source| &source.authenticators);
        let (issuer, now) = (&principal.issuer, self.now);
        let standing = Standing::of(&engine.authenticators, order, index, issuer, now)?;
        // How they stand is read before the verdict for which it vouches.
        let again = self.principal().ok()??;
        if !again.is_same_to_decisions(principal) || self.verified_by.get() != Some(index) {
            return None;
        }
        let too_old = parts.read_at + engine.max_age.as_duration();
        let outlived_at = match (holder(principal), principal.issued_at) {
            (Some(_), Some(issued_at)) => Some(engine.token_revocations.outlived_at(issued_at)),
            _ => None,
        };
        let ends = [principal.expires_at, outlived_at];
        Some(Memo {
            asked,
            tenant,
            version,
            from: self.now,
            until: ends.into_iter().flatten().fold(too_old, Timestamp::min),
            issued_at: principal.issued_at,
            standing: Some(engine.front.as_ref()?.share(standing)),
        })
    }
}
