//! Who is calling, taken out of a decision.

use std::{ops::Deref, sync::Arc};

use tenancy_core::{Principal, TenantContext};

/// The verified [`Principal`] of a request, with or without a tenant; cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller(Held);

#[derive(Debug, Clone)]
enum Held {
    InContext(TenantContext),
    Alone(Arc<Principal>),
}

impl Caller {
    pub(crate) const fn in_context(context: TenantContext) -> Self {
        Self(Held::InContext(context))
    }

    pub(crate) const fn alone(principal: Arc<Principal>) -> Self {
        Self(Held::Alone(principal))
    }
}

impl Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        match &self.0 {
            Held::InContext(context) => context.principal(),
            Held::Alone(principal) => principal,
        }
    }
}
