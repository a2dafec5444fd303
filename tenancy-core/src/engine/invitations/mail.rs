//! What is mailed: the address and the link's token, for the process that delivers.

use super::Invitations;
use crate::{
    InvitationId, StoreError, StoreErrorKind, TenantKey, TenantRecord,
    invitation::{Invitation, InvitationState},
    one_time::OneTimeText,
    outbox::Event,
};

/// What a mail that invites somebody says: the invitation, the tenant, and the token of the link.
///
/// From [`Invitations::mail`]. `Debug` shows no token.
///
/// ```
/// use tenancy_core::InvitationMail;
///
/// fn text(mail: &InvitationMail) -> String {
///     format!(
///         "To: {}\n\nYou are invited to {}: https://app.example.com/invitations/{}",
///         mail.invitation().email,
///         mail.tenant().name,
///         mail.token().expose()
///     )
/// }
/// # let _ = text;
/// ```
#[derive(Debug)]
#[must_use]
pub struct InvitationMail {
    invitation: Invitation,
    tenant: TenantRecord,
    token: OneTimeText,
}

impl InvitationMail {
    /// The invitation.
    #[must_use]
    pub const fn invitation(&self) -> &Invitation {
        &self.invitation
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> &TenantRecord {
        &self.tenant
    }

    /// The token for the link.
    #[must_use]
    pub const fn token(&self) -> &OneTimeText {
        &self.token
    }
}

impl Invitation {
    /// Which invitation an event tells of that a mail follows: `invitation.created` or `invitation.resent`. `None` for all
    /// other events.
    ///
    /// ```
    /// use tenancy_core::{InvitationId, Timestamp, invitation::Invitation, outbox::{Event, NewEvent}};
    ///
    /// let id = InvitationId::new();
    /// let told = |kind: &str| {
    ///     let event = NewEvent::new(kind, serde_json::json!({ "invitation": id }))?;
    ///     Ok::<_, tenancy_core::outbox::InvalidEvent>(Event::new(&event, 1, Timestamp::EPOCH))
    /// };
    /// assert_eq!(Invitation::to_mail(&told("invitation.resent")?), Some(id));
    /// assert_eq!(Invitation::to_mail(&told("invitation.revoked")?), None);
    /// # Ok::<(), tenancy_core::outbox::InvalidEvent>(())
    /// ```
    #[must_use]
    pub fn to_mail(event: &Event) -> Option<InvitationId> {
        let is_mailed = matches!(&*event.kind, "invitation.created" | "invitation.resent");
        let id = event.payload.get("invitation").filter(|_| is_mailed)?;
        id.as_str()?.parse().ok()
    }
}

impl Invitations {
    /// What to mail for an invitation; `None` if nothing is to be mailed any more, because it was accepted or revoked or has
    /// expired, or its tenant is gone.
    ///
    /// For a consumer of the outbox: the token is in no event and in no table. It is always the newest, so that an event that
    /// comes late mails no link that is wrong.
    ///
    /// ```
    /// use tenancy_core::{StoreError, Tenancy, danger, invitation::Invitation, outbox::Event};
    ///
    /// async fn deliver(tenancy: &Tenancy, event: &Event) -> Result<(), StoreError> {
    ///     let Some(id) = Invitation::to_mail(event) else { return Ok(()) };
    ///     let invitations = tenancy.invitations(danger::service("mails of invitations")?);
    ///     if let Some(mail) = invitations.mail(id).await? {
    ///         // … send it to `mail.invitation().email` …
    ///         drop(mail);
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = deliver;
    /// ```
    ///
    /// # Errors
    /// [`StoreErrorKind::Forbidden`] for a caller's authority, [`StoreErrorKind::Invalid`] if the pepper that the token
    /// was derived with is not configured here.
    ///
    /// # Security
    /// Whoever has the token and shows the address becomes a member. Send it to that address, and answer no request with it.
    pub async fn mail(&self, id: InvitationId) -> Result<Option<InvitationMail>, StoreError> {
        let author = &self.admin.author;
        author.permits(None, None).await?;
        let engine = &author.engine;
        let tokens = &engine.inviting()?.tokens;
        let found = engine.invitation_store()?.find_invitation(id).await?;
        let now = engine.clock().now();
        let Some(found) = found.filter(|one| one.state_at(now) == InvitationState::Pending) else {
            return Ok(None);
        };
        let tenant = TenantKey::Id(found.tenant);
        let tenant = engine.inner().directory.find_tenant(&tenant).await;
        let tenant = tenant.map_err(StoreError::unavailable)?;
        let Some(tenant) = tenant.filter(|tenant| tenant.status.is_served()) else {
            return Ok(None);
        };
        let token = tokens.text(found.token(), found.digest.version());
        let Some(token) = token else {
            return Err(StoreError::new(
                StoreErrorKind::Invalid,
                format!(
                    "the token was derived with version {} of the pepper, which is not configured here; give it to \
                     `OneTimeTokens::with_previous`, or send the invitation anew",
                    found.digest.version()
                ),
            ));
        };
        Ok(Some(InvitationMail {
            invitation: found,
            tenant,
            token,
        }))
    }
}
