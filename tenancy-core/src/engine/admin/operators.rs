//! Who the operators are: added, replaced, disabled and listed.

use serde_json::json;

use super::{Admin, list::MAX_PAGE};
use crate::{
    Actor, ChangeAction, ChangeRecord, Operator, OperatorId, OperatorRight, StoreError,
    StoreErrorKind, change::Change, engine::author::Stale, engine::operators::no_operators,
};

impl Admin {
    /// Adds an operator, or replaces the record of the same id. The first one is added by
    /// [`danger::service`](crate::danger::service).
    ///
    /// An operator that is disabled, or has no role any more by which it may impersonate, is refused from now on, and
    /// its impersonations end with the change.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if the subject is another operator's, [`StoreErrorKind::Invalid`] if the record
    /// [can't be stored](Operator::check), or its issuer is none of the [operators'](crate::Operators::issuer);
    /// [`StoreErrorKind::Forbidden`] on an operator's authority that is to change its own record.
    ///
    /// ```
    /// # use tenancy_core::{Operator, OperatorRole, StoreError, Tenancy, UserId, danger};
    /// # async fn first(tenancy: Tenancy) -> Result<(), StoreError> {
    /// let issuer = "https://staff.example";
    /// let mia = Operator::new(issuer, UserId::derive(issuer, "mia"), "Mia", [OperatorRole::Admin]);
    /// tenancy.admin(danger::service("the first operator")?).put_operator(&mia).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn put_operator(&self, operator: &Operator) -> Result<(), StoreError> {
        operator.check()?;
        let inner = self.author.engine.inner();
        let operators = inner.operators.as_ref().ok_or_else(no_operators)?;
        if !operators.has_issuer(&operator.issuer) {
            let message = format!(
                "`{}` is no issuer of the operators; name it with `Operators::issuer`",
                operator.issuer
            );
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        let roles: Vec<_> = operator.roles.iter().map(|role| role.as_str()).collect();
        let change = Change::new(ChangeAction::OperatorPut, None)
            .to("operator", operator.id)
            .with(json!({ "roles": roles, "disabled": operator.disabled }));
        let own = *self.author.authority.actor() == Actor::Operator(operator.id);
        self.author
            .make(change, Stale::Everything, async |record: ChangeRecord| {
                if own {
                    let message = "an operator's own record is for another one to change";
                    return Err(StoreError::new(StoreErrorKind::Forbidden, message));
                }
                operators.store().put_operator(operator, &record).await
            })
            .await
    }

    /// Operators in the order of their ids, disabled ones among them.
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] if the authority is one tenant's.
    pub async fn list_operators(
        &self,
        after: Option<OperatorId>,
        limit: u32,
    ) -> Result<Vec<Operator>, StoreError> {
        self.author
            .may_list("operators", OperatorRight::ReadTrail, (None, None))
            .await?;
        let operators = self.author.engine.inner().operators.as_ref();
        let store = operators.ok_or_else(no_operators)?.store();
        store.list_operators(after, limit.min(MAX_PAGE)).await
    }
}
