//! Corrections and backfills in memory.

use std::collections::HashMap;

use async_trait::async_trait;
use rust_decimal::Decimal;
use tenancy_core::{Actor, TenantId, Timestamp};

use super::{MemoryUsage, kept::Kept};
use crate::{
    AppliedBackfill, AppliedCorrection, BackfillOutcome, CorrectionOutcome, EventError,
    EventErrorKind, EventKey, EventOutcome, RevertOutcome, UsageBackfill, UsageBackfills,
    UsageCorrection, UsageDigest, UsageError,
};

#[derive(Debug, Clone, Default)]
pub(super) struct Corrected {
    /// The digest of each correction that was applied, by tenant, source and id.
    known: HashMap<EventKey, UsageDigest>,
    /// What was done to each event, the newest last, and how the event stood before.
    corrections: Vec<(AppliedCorrection, Stands)>,
    backfills: Vec<(TenantId, UsageDigest, AppliedBackfill)>,
}

/// How an event stands: the quantity and the number of events, or `None` if it is voided.
type Stands = Option<(Decimal, u64)>;

/// On whose word something is done to events.
struct Act<'a> {
    source: &'a str,
    /// The id of the correction; what a backfill does has the id of the event.
    id: Option<&'a str>,
    by: &'a Actor,
    reason: &'a str,
    now: Timestamp,
}

impl Kept {
    pub(super) fn correct(
        &mut self,
        sink: &MemoryUsage,
        correction: &UsageCorrection,
        now: Timestamp,
    ) -> Result<CorrectionOutcome, EventError> {
        correction.check()?;
        let tenant = correction.event.tenant;
        let own = EventKey::new(tenant, correction.source.clone(), correction.id.clone());
        match self.corrected.known.get(&own) {
            Some(digest) if *digest == correction.digest() => {
                return Ok(CorrectionOutcome::AlreadyApplied);
            }
            Some(_) => return Ok(CorrectionOutcome::Conflict),
            None => {}
        }
        let Some(counted) = self.events.get(&correction.event) else {
            return Ok(CorrectionOutcome::UnknownEvent);
        };
        let Some(meter) = sink.meters.get(&counted.event.meter) else {
            return Ok(CorrectionOutcome::UnknownEvent);
        };
        let Some((_, events)) = counted.stands else {
            return Ok(CorrectionOutcome::Voided);
        };
        let after = correction.apply_to(meter, events)?;
        let act = Act {
            source: &correction.source,
            id: Some(&correction.id),
            by: &correction.by,
            reason: &correction.reason,
            now,
        };
        self.act(sink, &act, vec![(correction.event.clone(), after)])?;
        self.corrected.known.insert(own, correction.digest());
        Ok(CorrectionOutcome::Applied)
    }

    /// Makes events stand otherwise, and remembers that.
    fn act(
        &mut self,
        sink: &MemoryUsage,
        act: &Act<'_>,
        changes: Vec<(EventKey, Stands)>,
    ) -> Result<(), EventError> {
        let stood = |kept: &Self, key| kept.events.get(key).and_then(|it| it.stands);
        let before: Vec<_> = changes.iter().map(|(key, _)| stood(self, key)).collect();
        self.restate(sink, &changes)?;
        for ((key, after), before) in changes.into_iter().zip(before) {
            let Some(counted) = self.events.get(&key) else {
                continue;
            };
            let number = self.corrected.corrections.len() as u64 + 1;
            let (meter, at) = (counted.event.meter.clone(), counted.event.at);
            let id = act.id.map_or_else(|| key.id.clone(), Into::into);
            let applied = AppliedCorrection {
                source: act.source.into(),
                id,
                before: before.map(|(quantity, _)| quantity),
                after: after.map(|(quantity, _)| quantity),
                by: act.by.to_string().into(),
                reason: act.reason.into(),
                corrected_at: act.now,
                ..AppliedCorrection::new(number, key, meter, at)
            };
            self.corrected.corrections.push((applied, before));
        }
        Ok(())
    }

    fn backfill(
        &mut self,
        sink: &MemoryUsage,
        backfill: &UsageBackfill,
        now: Timestamp,
    ) -> Result<BackfillOutcome, EventError> {
        let known = (self.corrected.backfills.iter())
            .find(|(tenant, _, known)| *tenant == backfill.tenant && known.name == backfill.name);
        match known {
            Some((_, digest, _)) if *digest != backfill.digest() => {
                return Ok(BackfillOutcome::Conflict);
            }
            Some((_, _, known)) if known.reverted_at.is_some() => {
                return Ok(BackfillOutcome::Reverted);
            }
            Some(_) => return Ok(BackfillOutcome::AlreadyApplied),
            None => backfill.check(&sink.meters, now, &sink.times)?,
        }
        let mut replaced: Vec<_> = (self.events.iter())
            .filter(|(key, counted)| {
                key.tenant == backfill.tenant
                    && counted.event.meter == backfill.meter
                    && counted.stands.is_some()
                    && (backfill.replaces).is_some_and(|range| range.contains(counted.event.at))
            })
            .map(|(key, _)| (key.clone(), None))
            .collect();
        replaced.sort();
        let (added, voided) = (backfill.events.len() as u64, replaced.len() as u64);
        backfill.check_replaced(voided)?;
        let act = Act {
            source: &UsageBackfill::source_of(&backfill.name),
            id: None,
            by: &backfill.by,
            reason: &backfill.reason,
            now,
        };
        self.act(sink, &act, replaced)?;
        for event in &backfill.events {
            let outcome = self.count(sink, event, None)?;
            if outcome != EventOutcome::Counted {
                let text = format!("the event `{}` was counted before; leave it out", event.id);
                return Err(EventError::new(EventErrorKind::Misfit, text));
            }
            self.note(event, &outcome, now);
        }
        let number = self.corrected.backfills.len() as u64 + 1;
        let (name, meter) = (backfill.name.clone(), backfill.meter.clone());
        let applied = AppliedBackfill {
            replaces: backfill.replaces,
            added,
            voided,
            by: backfill.by.to_string().into(),
            reason: backfill.reason.clone(),
            applied_at: now,
            ..AppliedBackfill::new(number, name, meter)
        };
        let entry = (backfill.tenant, backfill.digest(), applied);
        self.corrected.backfills.push(entry);
        Ok(BackfillOutcome::Applied { added, voided })
    }

    fn revert(
        &mut self,
        sink: &MemoryUsage,
        (tenant, name): (TenantId, &str),
        act: &Act<'_>,
    ) -> Result<RevertOutcome, EventError> {
        UsageBackfill::check_revert(name, act.reason)?;
        // From the first of this name on, the later ones after it.
        let mut backfills = (self.corrected.backfills.iter_mut())
            .filter(|(of, ..)| *of == tenant)
            .skip_while(|(.., known)| *known.name != *name)
            .map(|(.., known)| known);
        let Some(known) = backfills.next() else {
            return Ok(RevertOutcome::Unknown);
        };
        if known.reverted_at.is_some() {
            return Ok(RevertOutcome::AlreadyReverted);
        }
        let later = backfills.filter(|it| {
            it.meter == known.meter
                && it.reverted_at.is_none()
                && UsageBackfill::overlaps(known.replaces, it.replaces)
        });
        if let Some(later) = later.last() {
            let source = UsageBackfill::source_of(&later.name);
            return Err(UsageBackfill::replaced_by(name, &source));
        }
        known.reverted_at = Some(act.now);
        // What was done last to each event.
        let mut last = HashMap::new();
        for (applied, before) in &self.corrected.corrections {
            if applied.event.tenant == tenant {
                last.insert(&applied.event, (applied, *before));
            }
        }
        let (mut voided, mut restored) = (Vec::new(), Vec::new());
        for (key, counted) in self.events.iter().filter(|(key, _)| key.tenant == tenant) {
            let done = last.get(key);
            let is_own = *key.source == *act.source;
            match (is_own, counted.stands, done) {
                (true, Some(_), _) => voided.push((key.clone(), None)),
                (true, None, Some((applied, _)))
                    if applied.source.starts_with(UsageBackfill::SOURCE) =>
                {
                    return Err(UsageBackfill::replaced_by(name, &applied.source));
                }
                (false, None, Some((applied, before))) if *applied.source == *act.source => {
                    restored.push((key.clone(), *before));
                }
                _ => {}
            }
        }
        let told = RevertOutcome::Reverted {
            voided: voided.len() as u64,
            restored: restored.len() as u64,
        };
        voided.append(&mut restored);
        voided.sort();
        self.act(sink, act, voided)?;
        Ok(told)
    }
}

#[async_trait]
impl UsageBackfills for MemoryUsage {
    async fn backfill(&self, backfill: &UsageBackfill) -> Result<BackfillOutcome, UsageError> {
        let now = self.clock.now();
        let mut kept = self.kept();
        // As a whole or not at all.
        let mut tried = kept.clone();
        Ok(match tried.backfill(self, backfill, now) {
            Ok(outcome) => {
                *kept = tried;
                outcome
            }
            Err(error) => BackfillOutcome::Refused(error),
        })
    }

    async fn revert_backfill(
        &self,
        tenant: TenantId,
        name: &str,
        by: &Actor,
        reason: &str,
    ) -> Result<RevertOutcome, UsageError> {
        let act = Act {
            source: &UsageBackfill::source_of(name),
            id: None,
            by,
            reason,
            now: self.clock.now(),
        };
        let mut kept = self.kept();
        let mut tried = kept.clone();
        Ok(match tried.revert(self, (tenant, name), &act) {
            Ok(outcome) => {
                *kept = tried;
                outcome
            }
            Err(error) => RevertOutcome::Refused(error),
        })
    }

    async fn list_corrections(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<AppliedCorrection>, UsageError> {
        let kept = self.kept();
        let applied = kept
            .corrected
            .corrections
            .iter()
            .map(|(applied, _)| applied);
        let of_tenant = applied.filter(|it| it.event.tenant == tenant && it.number > after);
        Ok(of_tenant.take(limit as usize).cloned().collect())
    }

    async fn list_backfills(
        &self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<AppliedBackfill>, UsageError> {
        let kept = self.kept();
        let all = kept.corrected.backfills.iter();
        let of_tenant = all.filter(|(of, _, it)| *of == tenant && it.number > after);
        let told = of_tenant.map(|(.., applied)| applied.clone());
        Ok(told.take(limit as usize).collect())
    }
}
