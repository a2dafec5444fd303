//! Versions of plans in memory.

use async_trait::async_trait;

use super::{MemoryDirectory, State};
use crate::{
    ChangeRecord, DirectoryError, PlanDirectory, PlanStore, PlanVersion, StoreError, StoreErrorKind,
};

impl State {
    /// A version of a plan, or its newest.
    fn plan_version(&self, plan: &str, version: Option<u32>) -> Option<&PlanVersion> {
        let bound = |number: u32| (plan.to_owned(), version.unwrap_or(number));
        let mut found = self.plans.range(bound(0)..=bound(u32::MAX));
        found.next_back().map(|(_, found)| found)
    }
}

#[async_trait]
impl PlanDirectory for MemoryDirectory {
    async fn find_plan_version(
        &self,
        plan: &str,
        version: Option<u32>,
    ) -> Result<Option<PlanVersion>, DirectoryError> {
        Ok(self.read().plan_version(plan, version).cloned())
    }
}

#[async_trait]
impl PlanStore for MemoryDirectory {
    async fn add_plan_version(
        &self,
        version: &PlanVersion,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let name = version.definition.name();
        self.change(record, |state| {
            let newest = state.plan_version(name, None).map_or(0, |it| it.version);
            if newest.checked_add(1) != Some(version.version) {
                return Err(StoreError::new(
                    StoreErrorKind::Conflict,
                    "the plan has another newest version by now; look at it and try again",
                ));
            }
            let key = (name.to_owned(), version.version);
            state.plans.insert(key, version.clone());
            Ok(())
        })
    }

    async fn list_plan_versions(
        &self,
        plan: Option<&str>,
        after: Option<(&str, u32)>,
        limit: u32,
    ) -> Result<Vec<PlanVersion>, StoreError> {
        let state = self.read();
        let found = state.plans.iter().filter(|((name, number), _)| {
            plan.is_none_or(|plan| plan == name)
                && after.is_none_or(|after| (name.as_str(), *number) > after)
        });
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let found = found.map(|(_, version)| version.clone());
        Ok(found.take(limit).collect())
    }
}
