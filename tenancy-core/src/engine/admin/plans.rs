//! Stored plans: versions are added and listed, and a tenant is put on one.

use serde_json::json;

use super::{Admin, list::MAX_PAGE};
use crate::{
    ChangeAction, ChangeRecord, ConfigError, OperatorRight, Plan, PlanDefinition, PlanDirectory,
    PlanVersion, StoreError, StoreErrorKind, TenantRecord,
    change::Change,
    engine::{
        author::Stale,
        load::{StoredPlan, load},
    },
    plan::CurrentPlans,
    quota::check_held_names,
};

impl Admin {
    /// Adds a version of a [stored plan](crate::TenancyBuilder::stored_plans): the first one, or the next. Tenants
    /// that are on an earlier version stay there until [`set_plan`](Self::set_plan) puts them on this one.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] if the plan can't be used by this engine; the message says what is wrong: a
    /// permission or a meter that nobody declared, a meter about which it says nothing, a name that a plan of the
    /// book has, a name of what is held that is another one in the book or in the plan's newest version.
    /// [`StoreErrorKind::Conflict`] if somebody has added a version meanwhile.
    /// [`StoreErrorKind::Forbidden`] on a caller's authority: plans are the operators'.
    ///
    /// ```
    /// # use tenancy_core::{PlanDefinition, StoreError, Tenancy, TenantId, danger};
    /// # async fn example(tenancy: Tenancy, pro: PlanDefinition, acme: TenantId) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("more projects for the same price")?);
    /// let newest = admin.add_plan_version(&pro).await?;
    /// // Explicitly, tenant by tenant: the new version itself moves nobody.
    /// admin.set_plan(acme, Some(&newest.to_string())).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn add_plan_version(
        &self,
        definition: &PlanDefinition,
    ) -> Result<PlanVersion, StoreError> {
        let name = definition.name();
        let plan = self.check_plan(definition)?;
        let newest = self.stored_plans()?.find_plan_version(name, None).await;
        let newest = newest.map_err(StoreError::unavailable)?;
        self.check_held_names(&plan, newest.as_ref())?;
        let number = newest.map_or(0, |newest| newest.version).saturating_add(1);
        let now = self.author.engine.clock().now();
        let version = PlanVersion::from_stored(name, number, definition.as_json().clone(), now);
        let change = Change::new(ChangeAction::PlanAddVersion, None)
            .to("plan", &version)
            .with(json!({ "version": number }));
        let stores = self.stores();
        self.author
            .make(change, Stale::Nothing, async |record: ChangeRecord| {
                let store = stores.plan_store()?;
                store.add_plan_version(&version, &record).await
            })
            .await?;
        Ok(version)
    }

    /// The versions of a stored plan, or of all of them, in the order of their names' bytes and their numbers.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer. [`StoreErrorKind::Forbidden`] on a caller's authority.
    pub async fn list_plan_versions(
        &self,
        plan: Option<&str>,
        after: Option<&PlanVersion>,
        limit: u32,
    ) -> Result<Vec<PlanVersion>, StoreError> {
        self.author
            .may_list("plans", OperatorRight::ReadTenants, (None, None))
            .await?;
        let after = after.map(|after| (after.definition.name(), after.version));
        let store = self.stores().plan_store()?;
        store
            .list_plan_versions(plan, after, limit.min(MAX_PAGE))
            .await
    }

    /// Whether this engine could use a plan.
    fn check_plan(&self, definition: &PlanDefinition) -> Result<Plan, StoreError> {
        let inner = self.author.engine.inner();
        let name = definition.name();
        let invalid = |message: String| StoreError::new(StoreErrorKind::Invalid, message);
        if self.is_in_book(name) {
            return Err(invalid(format!(
                "the book of this service has a plan `{name}`; give the stored plan another name, or \
                 remove the plan from the book"
            )));
        }
        let book = definition.book_as(name);
        let plans = book.and_then(|book| inner.compile_plans(book));
        let checked = plans.and_then(|plans| {
            if let Some(quotas) = &inner.quotas {
                quotas.check_plans(&plans)?;
            }
            let plan = plans.named(name).cloned();
            plan.ok_or_else(|| ConfigError::new("it has no plan"))
        });
        checked.map_err(|error| invalid(error.to_string()))
    }

    /// Whether what is held has the name that it has in the book and in the plan's newest version. That may be one which
    /// this engine can't use; then nobody can be told.
    fn check_held_names(
        &self,
        plan: &Plan,
        newest: Option<&PlanVersion>,
    ) -> Result<(), StoreError> {
        let engine = &self.author.engine;
        let newest = newest.and_then(|newest| {
            let book = newest.definition.book_as(&newest.to_string());
            book.and_then(|book| engine.inner().compile_plans(book))
                .ok()
        });
        let book = engine.plans().map(CurrentPlans::book);
        for others in book.as_deref().into_iter().chain(&newest) {
            check_held_names(plan, others)
                .map_err(|error| StoreError::new(StoreErrorKind::Invalid, error.to_string()))?;
        }
        Ok(())
    }

    fn is_in_book(&self, name: &str) -> bool {
        let plans = self.author.engine.plans();
        plans.is_some_and(|plans| plans.book().named(name).is_some())
    }

    fn stored_plans(&self) -> Result<&dyn PlanDirectory, StoreError> {
        let stored = self.author.engine.inner().stored_plans.as_deref();
        stored.ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::ReadOnly,
                "this engine does not read stored plans; give it a store of them with \
                 `TenancyBuilder::stored_plans`",
            )
        })
    }

    /// The plan that a tenant counts as, if there is one. A version that this process does not know yet is read.
    pub(in crate::engine) async fn plan_of(
        &self,
        tenant: &TenantRecord,
    ) -> Result<Option<Plan>, StoreError> {
        let engine = &self.author.engine;
        let Some(plans) = engine.plans() else {
            return Ok(None);
        };
        if let (None, Some(name)) = (plans.of(tenant), plans.name_of(tenant)) {
            let read = load::<StoredPlan>(engine, &name).await;
            read.map_err(StoreError::unavailable)?;
        }
        Ok(plans.of(tenant))
    }

    /// What a tenant's record is to say: a plan of the book as it is, and a stored plan with its version, the newest
    /// unless one is named.
    pub(super) async fn resolved_plan(
        &self,
        plan: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let engine = &self.author.engine;
        let Some(name) = plan else {
            return Ok(None);
        };
        // Without a book and stored plans, a plan is a word of the application's own.
        if self.is_in_book(name) || !engine.has_plans() {
            return Ok(Some(name.to_owned()));
        }
        let Some(store) = &engine.inner().stored_plans else {
            let plans = engine.all_plans();
            let names: Vec<_> = plans
                .iter()
                .map(|plan| format!("`{}`", plan.name()))
                .collect();
            let message = format!(
                "there is no plan `{name}` in the book of this service, which has {}",
                names.join(", ")
            );
            return Err(StoreError::new(StoreErrorKind::NotFound, message));
        };
        let (of, version) = match PlanVersion::parse_id(name) {
            Some((of, version)) => (of, Some(version)),
            None => (name, None),
        };
        let found = store.find_plan_version(of, version).await;
        match found.map_err(StoreError::unavailable)? {
            Some(found) => Ok(Some(found.to_string())),
            None => Err(StoreError::new(
                StoreErrorKind::NotFound,
                format!(
                    "there is no plan `{name}`, neither in the book of this service nor stored"
                ),
            )),
        }
    }
}
