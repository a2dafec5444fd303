//! The mark of a response while an operator acts as the user.

use tenancy_core::{OperatorId, TenantContext, Timestamp};

use crate::ResponseFields;

/// Says in a response that an operator acts as the user, and until when.
///
/// Adapters write it to each response of an [impersonated](TenantContext::impersonation) request, so that pages can
/// show a banner and nobody takes what is done for the user's own.
///
/// ```
/// use tenancy_core::TenantContext;
/// use tenancy_http::ImpersonationMark;
///
/// /// A line above each page.
/// fn banner(context: &TenantContext) -> String {
///     ImpersonationMark::of(context).map_or_else(String::new, |mark| format!("<p>{}</p>", mark.text()))
/// }
/// # let _ = banner;
/// assert_eq!(ImpersonationMark::FIELD, "tenancy-impersonation");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a mark is seen once it is in the response"]
pub struct ImpersonationMark {
    operator: OperatorId,
    until: Timestamp,
}

impl ImpersonationMark {
    /// The header field that has it.
    pub const FIELD: &'static str = "tenancy-impersonation";

    /// The mark of a request; `None` if nobody impersonates.
    #[must_use]
    pub fn of(context: &TenantContext) -> Option<Self> {
        let impersonation = context.impersonation()?;
        Some(Self {
            operator: impersonation.operator,
            until: impersonation.until,
        })
    }

    /// The value of the header field, such as `operator="01890a5d-…", until="2027-01-15T08:00:00.000000Z"`.
    #[must_use]
    pub fn value(&self) -> String {
        format!("operator=\"{}\", until=\"{}\"", self.operator, self.until)
    }

    /// A sentence for people, without a character that HTML would take for its own.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "An operator of this service acts as this user until {}. What happens is recorded.",
            self.until
        )
    }

    /// Writes the field. One that a handler has set is replaced.
    pub fn write<F: ResponseFields>(&self, response: &mut F) {
        if let Some(value) = F::value(&self.value()) {
            response.remove(Self::FIELD);
            response.append(Self::FIELD, value);
        }
    }
}
