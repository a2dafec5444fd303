//! What the page behind a link shows before somebody has signed in.

use std::net::IpAddr;

use super::accept::Looked;
use crate::{Refusal, RefusalKind, RoleName, Tenancy, TenantRecord, Timestamp};

/// What the page of an invitation may show to whoever has its link: from [`Tenancy::peek_invitation`].
///
/// ```
/// use tenancy_core::InvitationPreview;
///
/// fn shown(preview: &InvitationPreview) -> String {
///     format!("{} invites {} as {}", preview.tenant_name, preview.masked_email, preview.role)
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvitationPreview {
    /// The tenant's name for people to read.
    pub tenant_name: String,
    /// The role in the tenant.
    pub role: RoleName,
    /// The [masked](crate::EmailAddress::masked) address.
    pub masked_email: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Tenancy {
    /// What an invitation's page shows, without accepting it.
    ///
    /// # Errors
    /// A [`Refusal`]: 404 for each token that can't be accepted, whatever the reason, 429 after too many of those from this
    /// address, 503 if the store does not answer.
    ///
    /// # Security
    /// A link's page gives much to whoever has the link. So what is told is little. Give the caller's address as a trusted
    /// proxy says it; without one, all callers share one count of attempts.
    ///
    /// ```
    /// # use std::net::IpAddr;
    /// # use tenancy_core::{Refusal, Tenancy};
    /// # async fn handler(tenancy: Tenancy, token: &str, from: Option<IpAddr>) -> Result<String, Refusal> {
    /// let preview = tenancy.peek_invitation(token, from).await?;
    /// # Ok(preview.tenant_name)
    /// # }
    /// ```
    pub async fn peek_invitation(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<InvitationPreview, Refusal> {
        let now = self.clock().now();
        let begun = match self.inviting() {
            Ok(inviting) => inviting.attempts.from(from, now),
            Err(error) => return Err(super::accept::told(&error)),
        };
        let begun = begun.map_err(|wait| {
            Refusal::new(RefusalKind::RateLimited, "invitation-attempts-spent")
                .with_retry_after(wait)
        })?;
        match self.look_at(token, now).await? {
            Looked::Open(found) => {
                let tenant = self.tenant_of(&found).await?;
                let tenant = tenant.filter(|tenant: &TenantRecord| tenant.status.is_served());
                let unknown = || Refusal::new(RefusalKind::NotFound, "invitation-unknown");
                let tenant = tenant.ok_or_else(unknown)?;
                begun.take_back(now);
                Ok(InvitationPreview {
                    tenant_name: tenant.name,
                    role: found.role,
                    masked_email: found.email.masked(),
                    expires_at: found.expires_at,
                })
            }
            Looked::Unknown => Err(Refusal::new(RefusalKind::NotFound, "invitation-unknown")),
            Looked::Over(_) => Err(Refusal::new(RefusalKind::NotFound, "invitation-over")),
        }
    }
}
