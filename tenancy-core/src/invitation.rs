//! Invitations: an address that may become a member, once.
//!
//! An [`Invitation`] is a row of a tenant. It is bound to an address, gives one role, and ends by itself. Its link has
//! a [one-time token](crate::one_time), which is stored nowhere. [`Tenancy::invitations`](crate::Tenancy::invitations)
//! makes and changes them, and [`Tenancy::accept_invitation`](crate::Tenancy::accept_invitation) makes a member of
//! whoever was invited.
//!
//! ```
//! use tenancy_core::{
//!     EmailAddress, MemoryDirectory, Membership, Tenancy, TenantRecord, TenantStatus, UserId, VerifiedEmail, danger,
//!     invitation::NewInvitation, key::Pepper, one_time::OneTimeTokens,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pepper = Pepper::new(1, b"32 random bytes from a secret store")?;
//! let tenancy = Tenancy::builder(MemoryDirectory::new())
//!     .invitations(OneTimeTokens::new(pepper))
//! #   .established_principals()
//!     .build()?;
//! # let acme = TenantRecord::new("acme".parse()?, "Acme Ltd").with_status(TenantStatus::Active);
//! # tenancy.admin(danger::service("an example")?).create_tenant(&acme).await?;
//! // In a handler: `context.authority("members:invite")?` in the place of the service's own.
//! let invitations = tenancy.invitations(danger::service("an example")?);
//! let ann: EmailAddress = "ann.lee@example.org".parse()?;
//! let invitation = invitations.invite(&NewInvitation::new(acme.id, ann.clone(), "member".parse()?)).await?;
//!
//! // In the process that sends mails, told by the event `invitation.created`:
//! let mail = invitations.mail(invitation.id).await?.ok_or("it has ended")?;
//! let link = format!("https://app.example.com/invitations/{}", mail.token().expose());
//!
//! // In the handler of that link, for a user whose address is verified:
//! let token = link.rsplit('/').next().ok_or("no token")?;
//! let email = VerifiedEmail::vouched_by_application(ann);
//! let member = tenancy.accept_invitation(token, UserId::new(), &email).await?;
//! assert_eq!(member.role.as_str(), "member");
//! # Ok(())
//! # }
//! ```
//!
//! # Security
//! - A link alone is not enough: the user's verified address has to be the one that was invited.
//! - At acceptance the inviter has to be a member who may still give the role. What an operator has made is taken back when
//!   the operator is disabled, or may change access no more. What the service itself, a job or a service account has made
//!   stays good until it is revoked.
//! - A token that is unknown, cut, spent, revoked, replaced or for another address gets one answer, and leaves the
//!   invitation as it is.

mod new;
mod record;
mod store;

pub use new::NewInvitation;
pub use record::{Invitation, InvitationState, Inviter, ProjectRole};
pub use store::{
    Acceptance, Accepted, InvitationBatch, InvitationChange, InvitationFilter, InvitationStore,
    Invited, SeatDirectory, SeatLimit, Seated,
};
