//! Keeping the audit trail: verifying its chains, retention, and what is about a person.

#[cfg(feature = "jwt")]
use std::collections::HashMap;

use serde_json::json;

use super::Admin;
use crate::engine::author::Stale;
use crate::{
    AuditEntry, AuditTrail, ChainHead, ChainReport, ChangeAction, OperatorRight, Outcome,
    PersonErasure, Pruned, Retention, StoreError, TenantId, TenantKey, Timestamp, TrailChain,
    alert::Alert, change::Change,
};
#[cfg(feature = "jwt")]
use crate::{audit::ANCHORS, jwt::anchor_chain};

/// How many chains are listed at once.
const PAGE: u32 = 500;

impl Admin {
    /// Where each chain of the trail stands, that of no tenant first, in the order of the tenants' ids. What to make
    /// [anchors](crate::ChainHead) of.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) if the authority is one tenant's,
    /// [`StoreErrorKind::ReadOnly`](crate::StoreErrorKind::ReadOnly) if the store keeps no chains or has no login that
    /// reads them.
    pub async fn list_chain_heads(
        &self,
        after: Option<TrailChain>,
        limit: u32,
    ) -> Result<Vec<ChainHead>, StoreError> {
        self.author
            .may_list("chains", OperatorRight::ReadTrail, (None, None))
            .await?;
        self.trail()?.list_heads(after, limit.min(PAGE)).await
    }

    /// Signs where each chain stands that has moved since its newest kept anchor, and keeps the anchors; how many. For a job
    /// that runs once an hour or once a day: what is rewritten before it runs shows by no anchor.
    ///
    /// A chain has moved if its last number or its hash is another one, or if the newest anchor was not signed by this
    /// signer. It reads each kept anchor once, in pages, and has one of each chain in memory. Where nothing is read back, as
    /// from a log, and with a key of ES or PS, whose signatures are random, each chain is signed each time.
    /// [`anchor_whole_trail`](Self::anchor_whole_trail) signs each one that has a link.
    ///
    /// # Errors
    /// As [`list_chain_heads`](Self::list_chain_heads), and if the anchors are not signed or not kept.
    ///
    /// ```
    /// # use tenancy_core::{AnchorFile, StoreError, Tenancy, danger, jwt::AnchorSigner};
    /// # async fn example(tenancy: Tenancy, signer: AnchorSigner) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("the hourly anchors")?);
    /// let kept = admin.anchor_trail(&signer, &AnchorFile::new("/var/lib/anchors/notes")).await?;
    /// println!("{kept} chains are anchored");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "jwt")]
    pub async fn anchor_trail(
        &self,
        signer: &crate::jwt::AnchorSigner,
        kept_in: &dyn crate::AnchorStore,
    ) -> Result<u64, StoreError> {
        let newest = newest(kept_in).await.map_err(StoreError::unavailable)?;
        let is_due = |head: &ChainHead| {
            let newest = newest.get(&head.chain());
            !newest.is_some_and(|line| signer.has_signed(head, line))
        };
        self.anchor(signer, kept_in, is_due).await
    }

    /// Signs where each chain stands that has a link, moved or not, and keeps the anchors; how many. For a new signer or a
    /// new place.
    ///
    /// # Errors
    /// As [`anchor_trail`](Self::anchor_trail).
    #[cfg(feature = "jwt")]
    pub async fn anchor_whole_trail(
        &self,
        signer: &crate::jwt::AnchorSigner,
        kept_in: &dyn crate::AnchorStore,
    ) -> Result<u64, StoreError> {
        self.anchor(signer, kept_in, |_| true).await
    }

    #[cfg(feature = "jwt")]
    async fn anchor(
        &self,
        signer: &crate::jwt::AnchorSigner,
        kept_in: &dyn crate::AnchorStore,
        is_due: impl Fn(&ChainHead) -> bool + Send,
    ) -> Result<u64, StoreError> {
        let now = self.author.engine.clock().now();
        let (mut count, mut after) = (0, None);
        loop {
            let heads = self.list_chain_heads(after, PAGE).await?;
            let Some(last) = heads.last() else {
                return Ok(count);
            };
            after = Some(last.chain());
            let heads = heads.iter().filter(|head| head.seq > 0 && is_due(head));
            let signed: Result<Vec<_>, _> = heads.map(|head| signer.sign(head, now)).collect();
            let signed = signed.map_err(StoreError::unavailable)?;
            kept_in
                .keep(&signed)
                .await
                .map_err(StoreError::unavailable)?;
            count += u64::try_from(signed.len()).unwrap_or(0);
        }
    }

    /// Verifies the chain of a tenant's trail, or without a tenant that of what concerns none: each link, each entry,
    /// what is about a person where it is not erased, the checkpoints, and these anchors of the chain.
    ///
    /// The report names the first broken link. That it was verified is an entry of the trail itself, `trail.verify`.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, keeps no chains, or has no login that reads them. A broken chain is
    /// no error.
    ///
    /// # Security
    /// A superuser of the database can rewrite a chain from some entry to its end, with the checkpoints. That shows only
    /// by an anchor which is kept elsewhere.
    ///
    /// ```
    /// # use tenancy_core::{StoreError, Tenancy, TenantId, danger};
    /// # async fn example(tenancy: Tenancy, acme: TenantId) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("the nightly verification")?);
    /// let report = admin.verify_trail(Some(acme), &[]).await?;
    /// if let Some(fault) = report.fault {
    ///     eprintln!("the trail of {acme} is broken: {fault}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn verify_trail(
        &self,
        tenant: Option<TenantId>,
        anchors: &[ChainHead],
    ) -> Result<ChainReport, StoreError> {
        self.author
            .may_list("chain", OperatorRight::ReadTrail, (tenant, None))
            .await?;
        let of_chain = anchors.iter().filter(|anchor| anchor.tenant == tenant);
        let of_chain: Vec<_> = of_chain.copied().collect();
        let report = self.trail()?.verify_chain(tenant.into(), &of_chain).await?;
        let inner = self.author.engine.inner();
        let outcome = match report.fault {
            None => Outcome::Allowed,
            Some(_) => Outcome::Failed,
        };
        let mut entry = AuditEntry::new(inner.clock.now(), "trail.verify", outcome)
            .details(json!({ "verified": report.verified, "last": report.last }));
        entry.tenant = tenant;
        self.author.authority.sign(&mut entry);
        if let Some(fault) = &report.fault {
            tracing::error!(?tenant, %fault, "the chain of the audit trail is broken");
            entry.reason = Some(fault.to_string().into());
            self.author
                .engine
                .alert(Alert::chain_broken(tenant, fault.seq));
        }
        inner.audit.record(entry);
        Ok(report)
    }

    /// Removes entries that are older than the plan of their tenant says: its
    /// [retention](crate::PlanBook::retention) of `audit`. Where the plan says nothing, and where there is no tenant or
    /// no plan, `otherwise` counts. Returns how many entries were removed.
    ///
    /// It is for a job that runs once a day. Each chain goes on from the hash at which it was cut, and stays
    /// verifiable. Each tenant of which something is removed has one entry `trail.prune`, or several if it was
    /// much.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) unless the authority is the service's, an
    /// operator's of the application, or a job's. What was removed before an error stays removed.
    ///
    /// ```
    /// # use tenancy_core::{Retention, StoreError, Tenancy, danger};
    /// # async fn example(tenancy: Tenancy) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("retention of the trail")?);
    /// let removed = admin.apply_trail_retention(Retention::Days(400)).await?;
    /// println!("{removed} entries are gone");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn apply_trail_retention(&self, otherwise: Retention) -> Result<u64, StoreError> {
        self.author.require_service()?;
        let (mut removed, mut after) = (0, None);
        loop {
            let heads = self.trail()?.list_heads(after, PAGE).await?;
            let Some(last) = heads.last() else {
                if removed > 0 {
                    self.trail()?.tidy().await?;
                }
                return Ok(removed);
            };
            after = Some(last.chain());
            for head in &heads {
                let kept = self.retention_of(head.tenant).await?.unwrap_or(otherwise);
                if let Some(kept) = kept.as_duration() {
                    let before = self.author.engine.clock().now() - kept;
                    removed += self.prune_trail(head.tenant, before).await?;
                }
            }
        }
    }

    /// Removes the entries of a chain that were recorded before a moment; how many.
    async fn prune_trail(
        &self,
        tenant: Option<TenantId>,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        let trail = self.trail()?;
        let mut removed = 0;
        // Where there is nothing to remove, nothing is recorded.
        while trail
            .find_oldest(tenant.into())
            .await?
            .is_some_and(|oldest| oldest < before)
        {
            let change = Change::new(ChangeAction::TrailPrune, tenant)
                .with(json!({ "before": before.to_string() }));
            let pruned = self.author.make(change, Stale::Nothing, async |record| {
                trail.prune_chain(tenant.into(), before, &record).await
            });
            match pruned.await? {
                Pruned { removed: 0, .. } => break,
                Pruned { removed: some, .. } => removed += some,
            }
        }
        Ok(removed)
    }

    async fn retention_of(
        &self,
        tenant: Option<TenantId>,
    ) -> Result<Option<Retention>, StoreError> {
        let Some(tenant) = tenant else {
            return Ok(None);
        };
        let directory = &self.author.engine.inner().directory;
        let found = directory.find_tenant(&TenantKey::Id(tenant)).await;
        let Some(record) = found.map_err(StoreError::unavailable)? else {
            return Ok(None);
        };
        let plan = self.plan_of(&record).await?;
        Ok(plan.and_then(|plan| plan.retention("audit")))
    }

    /// Erases what the trail has about a person, in one tenant, or without a tenant everywhere: reason, targets, details,
    /// changes, address and user agent of each entry that the [erasure](PersonErasure) names. Of how many entries.
    ///
    /// The entries stay, with ids in the place of people, and their chains stay whole. What is in backups, in exports and
    /// in sinks outside of the store is not reached.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) unless the authority is the service's, an
    /// operator's of the application, or a job's.
    ///
    /// ```
    /// # use tenancy_core::{EmailAddress, PersonErasure, Tenancy, UserId, danger};
    /// # async fn example(tenancy: Tenancy, ann: UserId, email: EmailAddress) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(danger::service("request 4711 for erasure")?);
    /// let erased = admin.erase_person_from_trail(None, &PersonErasure::new(ann).email(&email)?).await?;
    /// println!("{erased} entries have no particulars any more");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn erase_person_from_trail(
        &self,
        tenant: Option<TenantId>,
        person: &PersonErasure,
    ) -> Result<u64, StoreError> {
        let trail = self.trail()?;
        // The texts are what has to go, and are no part of the entry.
        let change = Change::new(ChangeAction::TrailErase, tenant).to("user", person.user());
        self.author
            .make(change, Stale::Nothing, async |record| {
                trail.erase_person(tenant, person, &record).await
            })
            .await
    }

    fn trail(&self) -> Result<&dyn AuditTrail, StoreError> {
        self.stores().trail_store()
    }
}

/// The newest kept anchor of each chain, whoever has signed it.
#[cfg(feature = "jwt")]
async fn newest(
    kept_in: &dyn crate::AnchorStore,
) -> Result<HashMap<TrailChain, String>, crate::AuditError> {
    let (mut newest, mut place) = (HashMap::new(), 0);
    loop {
        let page = kept_in.kept_from(place, ANCHORS).await?;
        if page.anchors.is_empty() {
            return Ok(newest);
        }
        place = page.next;
        let of_chains = page.anchors.into_iter();
        newest.extend(of_chains.filter_map(|line| Some((anchor_chain(&line)?, line))));
    }
}
