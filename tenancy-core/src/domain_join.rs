//! Joining by domain: whoever has a verified address at a tenant's domain may become a member there.
//!
//! ```
//! use tenancy_core::{
//!     Admin, EmailAddress, StoreError, Tenancy, TenantId, UserId, VerifiedEmail,
//!     domain_join::{DomainJoin, JoinMode, VerifiedDomain},
//! };
//!
//! async fn configure(admin: &Admin, acme: TenantId) -> Result<(), Box<dyn std::error::Error>> {
//!     // Your service has seen a record in the domain's DNS that only its owner can write.
//!     let domain = VerifiedDomain::vouched_by_application("acme.example".parse()?)?;
//!     let rule = DomainJoin::new(acme, domain, JoinMode::Automatic, "member".parse()?);
//!     Ok(admin.put_domain_join(&rule).await?)
//! }
//!
//! /// After a sign-up, for a user whose address is verified.
//! async fn signed_up(tenancy: &Tenancy, me: UserId, mine: EmailAddress) -> Result<(), tenancy_core::Refusal> {
//!     let email = VerifiedEmail::vouched_by_application(mine);
//!     let by_domain = tenancy.join_by_domain(me, &email).await?;
//!     for offer in &by_domain.suggested {
//!         println!("people of your company are in {}", offer.tenant_name);
//!     }
//!     Ok(())
//! }
//! # let _ = (configure, signed_up);
//! ```
//!
//! # Security
//! - A domain has to match exactly: a subdomain is another one.
//! - Domains of public mail providers are refused: there anybody has an address. The list of them is short and can't be
//!   complete. The proof that the tenant owns the domain is what counts.
//! - The role is no more than a [member's](crate::SystemRole::Member), when the rule is made and when somebody joins.
//! - Whoever was removed can join again by the domain. Suspend somebody who is to stay out.

mod record;
mod store;

pub use record::{DomainJoin, JoinMode, PublicMailDomain, VerifiedDomain};
pub use store::{DomainJoinStore, DomainJoined};
