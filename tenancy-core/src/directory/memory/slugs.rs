//! Slugs that rest after a tenant has let go of them, in memory.

use std::collections::HashMap;

use super::State;
use crate::{Slug, StoreError, StoreErrorKind, TenantId, Timestamp};

/// Whose a slug was, and until when it rests.
pub(super) type RestingSlugs = HashMap<Slug, (TenantId, Timestamp)>;

impl State {
    /// Lets a tenant take a slug that nobody has, unless it rests for another tenant.
    pub(super) fn take_slug(
        &mut self,
        tenant: TenantId,
        slug: &Slug,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rests = self.resting.get(slug);
        if rests.is_some_and(|(before, until)| *before != tenant && *until > now) {
            let message =
                format!("the slug `{slug}` was another tenant's, and rests; choose another one");
            return Err(StoreError::new(StoreErrorKind::Conflict, message));
        }
        self.resting.remove(slug);
        Ok(())
    }

    /// The same, for a tenant that lets go of another one.
    pub(super) fn replace_slug(
        &mut self,
        tenant: TenantId,
        before: &Slug,
        slug: &Slug,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let own = |(slug, (of, until)): (&Slug, &(TenantId, Timestamp))| {
            (*of == tenant && *until > now).then(|| slug.clone())
        };
        let still: Vec<_> = self.resting.iter().filter_map(own).collect();
        if still.iter().filter(|rests| *rests != slug).count() >= Slug::MAX_RESTING {
            let message = "the tenant has changed its slug too often; wait until one of its old slugs is free";
            return Err(StoreError::new(StoreErrorKind::Conflict, message));
        }
        self.take_slug(tenant, slug, now)?;
        self.resting
            .insert(before.clone(), (tenant, now + Slug::REST));
        Ok(())
    }
}
