//! What extractors and guards ask of a decision, and what is said where there is none.

use tenancy_core::{Refusal, RefusalKind, Tenancy, TenantContext};

use crate::{AdmissionDecision, Caller, Error};

/// The words of one adapter: what its users would have to write.
#[derive(Debug, Clone, Copy)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a constant that each adapter writes out"
)]
pub struct Adapter {
    /// The type that admits requests, such as `TenancyLayer`.
    pub layer: &'static str,
    /// What covers a route that nothing covers: "add `…` to …".
    pub cover: &'static str,
    /// What declares that a route has a tenant: "declare … with `…`".
    pub declare: &'static str,
}

/// Something that needs a decision, where it stands: messages name both.
#[derive(Debug, Clone, Copy)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a question that adapters write out"
)]
pub struct DecisionLookup<'a> {
    /// The adapter's words.
    pub adapter: &'a Adapter,
    /// What asks, such as ``the extractor `Tenant` ``.
    pub what: &'a str,
    /// The path of the request, as the client sent it.
    pub path: &'a str,
    /// What the request carries.
    pub decision: Option<&'a AdmissionDecision>,
}

impl<'a> DecisionLookup<'a> {
    /// The context of the request.
    ///
    /// # Errors
    /// Status 401 or 400 if the request was admitted without a tenant, 500 if its route never has
    /// one or is not covered.
    pub fn tenant(self) -> Result<&'a TenantContext, Error> {
        let decision = self.decision()?;
        match decision.context() {
            Some(context) => Ok(context),
            None if decision.is_central() => Err(self.central()),
            None if decision.caller().is_none() => Err(decision
                .tenancy()
                .unauthenticated("credential-absent")
                .into()),
            None => Err(Refusal::new(RefusalKind::TenantRequired, "tenant-not-named").into()),
        }
    }

    /// The context of the request, which this engine has made.
    ///
    /// # Errors
    /// As [`tenant`](Self::tenant), and 500 if another engine has made it.
    pub fn tenant_of(self, tenancy: &Tenancy) -> Result<&'a TenantContext, Error> {
        let context = self.tenant()?;
        // Two registries with the same names share their ids, so that only this tells them apart.
        if context.tenancy().is(tenancy) {
            return Ok(context);
        }
        let detail = format!(
            "{} stands inside the `{}` of another engine; build both from the same `Tenancy`",
            self.what, self.adapter.layer
        );
        Err(Error::misconfigured("guard-of-another-engine", detail))
    }

    /// The context of the request; `None` if its route has one only sometimes.
    ///
    /// # Errors
    /// Status 500 if the route never has a tenant or is not covered.
    pub fn tenant_if_any(self) -> Result<Option<&'a TenantContext>, Error> {
        let decision = self.decision()?;
        match decision.context() {
            None if decision.is_central() => Err(self.central()),
            context => Ok(context),
        }
    }

    /// Who is calling.
    ///
    /// # Errors
    /// Status 401 without a credential, 500 if the route is not covered.
    pub fn caller(self) -> Result<Caller, Error> {
        let decision = self.decision()?;
        let absent = || decision.tenancy().unauthenticated("credential-absent");
        decision.caller().ok_or_else(|| absent().into())
    }

    /// Who is calling; `None` without a credential.
    ///
    /// # Errors
    /// Status 500 if the route is not covered.
    pub fn caller_if_any(self) -> Result<Option<Caller>, Error> {
        Ok(self.decision()?.caller())
    }

    fn decision(self) -> Result<&'a AdmissionDecision, Error> {
        self.decision.ok_or_else(|| {
            Error::misconfigured(
                "tenancy-layer-missing",
                format!(
                    "{} is used on `{}`, which no `{}` covers; {}",
                    self.what, self.path, self.adapter.layer, self.adapter.cover,
                ),
            )
        })
    }

    fn central(self) -> Error {
        Error::misconfigured(
            "route-is-central",
            format!(
                "{} is used on `{}`, which is declared central and never has a tenant; {}",
                self.what, self.path, self.adapter.declare,
            ),
        )
    }
}
