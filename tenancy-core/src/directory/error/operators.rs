//! What stores say of operators and impersonations.

use crate::{OperatorId, OperatorRight, StoreError, StoreErrorKind};

impl StoreError {
    /// What a change fails with that needs an operator whom nobody has added: for stores.
    #[must_use]
    pub fn no_operator(operator: OperatorId) -> Self {
        let message = format!("there is no operator `{operator}`");
        Self::new(StoreErrorKind::NotFound, message)
    }

    /// What a change fails with that an operator has no right to, or no more: for stores.
    #[must_use]
    pub fn operator_lacks(right: OperatorRight) -> Self {
        let message = format!("the operator has no right to `{right}`");
        Self::new(StoreErrorKind::Forbidden, message)
    }

    /// What an approval fails with of an impersonation that the same person has asked for: for stores.
    #[must_use]
    pub fn own_approval() -> Self {
        let message = "an operator does not approve what it has asked for itself";
        Self::new(StoreErrorKind::Forbidden, message)
    }

    /// What an impersonation fails with of somebody who may do nothing in the tenant: for stores.
    #[must_use]
    pub fn nobody_to_become() -> Self {
        let message = "the user is no active member of the tenant";
        Self::new(StoreErrorKind::Forbidden, message)
    }

    /// What an impersonation fails with that a tenant has not agreed to, or no more: for stores.
    #[must_use]
    pub fn no_consent() -> Self {
        let message = "the tenant has not agreed; one of its owners does so with `Admin::grant_support_access`";
        Self::new(StoreErrorKind::Forbidden, message)
    }
}
