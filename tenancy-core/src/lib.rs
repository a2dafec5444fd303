//! The core of `tenancy`: what a multi-tenant service knows about a request, independent of web
//! framework and database.
//!
//! A request passes one way, and each step is a type that only the step before can make:
//!
//! ```text
//! request head ─hints──────▶ untrusted text: host, header, path, the application's own rule
//!              ─credential─▶ Principal: who, vouched for by whom, for which tenants at most
//! hints × principal ─agree─▶ TenantRecord ─membership─▶ role ─status─▶ TenantContext
//! ```
//!
//! * [`Tenancy`] is the engine: build one at start, clone it everywhere.
//! * [`TenantContext`] is what a handler works with, and the only key to a tenant's data.
//! * [`Directory`] is where tenants and memberships are kept; [`MemoryDirectory`] is one, and
//!   `tenancy-sqlx` has one in PostgreSQL.
//! * [`jwt`] validates tokens, strictly; [`key`] has API keys; [`PermissionRegistry`] and [`RoleTable`] say who may what.
//! * [`domain_join`] has rules by which people join by the domain of their address.
//! * [`invitation`] has invitations: an address that may become a member, once.
//! * [`one_time`] has tokens that are good for one thing, once: links in mails.
//! * [`alert`] has alerts: what somebody should look at soon, told as events.
//! * [`outbox`] has the events that commit with the change they tell of, and who consumes them.
//! * [`CorsPolicy`] says which pages may call the service, and [`SecurityHeaders`] what its
//!   responses should carry: adapters put both into effect.
//!
//! # Features
//! * `jwt`: tokens, the module [`jwt`]. A default, with `aws-lc-rs`. Without it neither `jsonwebtoken`
//!   nor AWS-LC is built.
//! * `aws-lc-rs`, `rust-crypto`: which of them verifies tokens, AWS-LC (C, the faster) or RustCrypto
//!   (Rust alone). With both it is AWS-LC; with `jwt` and neither the crate doesn't compile.
//! * `argon2`: Argon2id for secrets that people choose: passwords, `Passwords`, `key::SecretHasher`, and keys that
//!   come from elsewhere, `key::ImportedKeys`.
//! * `jwks-http`: an HTTPS client for the keys that token issuers publish, on reqwest and rustls, whose
//!   TLS is AWS-LC's. Turns `jwt` on.
//! * `testing`: contexts built by hand, a clock that stands still, and the conformance suites.
//!   For `[dev-dependencies]` only.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(
    feature = "jwt",
    not(any(feature = "aws-lc-rs", feature = "rust-crypto"))
))]
compile_error!(
    "the feature `jwt` needs a backend that verifies signatures: add the feature `aws-lc-rs` (AWS-LC, \
     the faster) or `rust-crypto` (no C compiler needed)"
);

mod account;
pub mod alert;
mod announcer;
#[cfg(feature = "argon2")]
mod attempts;
mod audit;
mod authenticator;
mod cache;
mod change;
mod claims;
mod clock;
mod config;
mod cors;
mod credential_source;
mod cut;
mod digest;
mod directory;
pub mod domain_join;
mod email;
mod engine;
mod established;
mod generation;
mod header_uses;
mod id;
mod identification;
mod impersonation;
pub mod invitation;
mod issuer;
#[cfg(all(feature = "jwt", any(feature = "aws-lc-rs", feature = "rust-crypto")))]
pub mod jwt;
pub mod key;
mod membership;
mod network;
pub mod one_time;
mod operator;
pub mod outbox;
mod ownership;
#[cfg(feature = "argon2")]
mod password;
mod permission;
mod plan;
mod principal;
mod problem;
mod project;
mod provisioning;
mod proxy;
pub mod quota;
mod refusal;
mod request;
mod route;
mod security_headers;
mod tenant;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token_revocation;
mod trace;

pub use account::{
    Account, AccountChange, AccountKey, AccountStore, ExternalSubject, InvalidSubject,
    NewPasswordReset, PasswordReset, PasswordResetStore, UsedPasswordReset,
};
pub use announcer::ChangeAnnouncer;
/// For implementations of this crate's traits.
pub use async_trait::async_trait;
#[doc(hidden)]
pub use audit::csv_cell;
pub use audit::{
    AnchorFile, AnchorLog, AnchorPage, AnchorStore, AuditAction, AuditActions, AuditChange,
    AuditDirectory, AuditEntry, AuditError, AuditFilter, AuditSink, AuditTarget, AuditTrail,
    ChainFault, ChainFaultKind, ChainHash, ChainHead, ChainReport, ExportFormat, LinkedEntry,
    MemoryAuditSink, NoAudit, Outcome, PersonErasure, Pruned, TracingAuditSink, TrailChain,
    TrailHandOver, TrailReceiver,
};
pub use authenticator::{
    Authenticator, Credential, LookupError, MAX_CREDENTIAL_LEN, Rejection, Verdict,
};
pub use change::{CallerSeen, ChangeAction, ChangeRecord};
pub use claims::Claims;
#[cfg(any(test, feature = "testing"))]
pub use clock::ManualClock;
pub use clock::{Clock, SystemClock, Timestamp};
pub use config::ConfigError;
pub use cors::{CorsPolicy, is_preflight};
pub use credential_source::CredentialSource;
#[cfg(any(test, feature = "testing"))]
pub use directory::conformance;
pub use directory::{
    Capability, Directory, DirectoryError, DirectoryStore, Entry, EntryDirectory, EntryQuery,
    FeedCursor, FeedPage, GenerationFeed, MemberFilter, MembershipDirectory, MembershipStore,
    MemoryDirectory, NameStore, ProjectDirectory, ProjectFilter, ProjectStore, RevocationStore,
    RoleDirectory, RoleStore, StoreError, StoreErrorKind, Stores, TenantDirectory, TenantFilter,
    TenantStore, TokenRevocationDirectory,
};
pub use email::{EmailAddress, InvalidEmail, VerifiedEmail};
pub use engine::{
    AccessExplanation, Accounts, Admin, Admission, Admitted, AuditExport, AuditTail, Authority,
    Charge, ChargeRequest, Charger, Charging, ContextWatch, CorsAnswer, CorsDecision, Cost,
    DecidedBy, DomainOffer, EachTenant, EachTenantReport, Ending, ExportError, Exported,
    InvalidJobName, InvitationMail, InvitationPreview, Invitations, InviteOutcome, JobName, JobRun,
    JoinedByDomain, KeyAdmin, KeyService, OperatorContext, Operators, PendingAdmission,
    PendingCors, PendingOperator, Settlement, ShutdownReport, StartedImpersonation, TailOptions,
    Tenancy, TenancyBuilder, TenantContext, danger,
};
#[cfg(feature = "argon2")]
pub use engine::{PasswordResets, ResetMail};
pub use established::EstablishedPrincipal;
pub use generation::Generation;
pub use id::{
    EventId, ImpersonationId, InvitationId, KeyId, OperatorId, ParseIdError, ProjectId, ServiceId,
    TenantId, UserId,
};
pub use identification::{ApplicationHint, HintSource, Identification};
pub use impersonation::{
    Impersonation, ImpersonationDigest, ImpersonationLookup, ImpersonationPolicy,
    ImpersonationState, ImpersonationStore, ImpersonationToken, NewImpersonation, StartTerms,
};
pub use issuer::{IssuerDirectory, IssuerRecord, IssuerStore};
pub use membership::{
    Departure, HandedKey, InvalidRoleName, KeyFate, KeyHandover, KeysGo, MemberHoldings,
    Membership, MembershipChange, MembershipRemoval, MembershipStatus, RoleName, RoleSeen,
    TenantMembership,
};
pub use operator::{Operator, OperatorRight, OperatorRole, OperatorStore};
pub use ownership::{OwnershipOffer, OwnershipStore, OwnershipTerms};
#[cfg(feature = "argon2")]
pub use password::{PasswordError, PasswordVerdict, Passwords, PasswordsBuilder, UnfitPassword};
pub use permission::{
    Explanation, Grant, InvalidGrant, InvalidPermission, PermissionDecision, PermissionId,
    PermissionRegistry, PermissionRegistryBuilder, PermissionSet, RegistryError, RoleDefinition,
    RoleMask, RoleProblem, RoleProblemKind, RoleTable, RoleTableError, SystemRole,
};
/// How written books are read: for the crates of this family alone, and not a part of what is promised.
#[doc(hidden)]
pub use plan::document;
pub use plan::{
    Plan, PlanBook, PlanDefinition, PlanDirectory, PlanStore, PlanVersion, Price, PricePeriod,
    Retention,
};
pub use principal::{Actor, AllowedTenants, Principal};
pub use problem::{PROBLEM_MEDIA_TYPE, PROBLEM_TYPE_PREFIX, Problem};
pub use project::{Project, ProjectAccess, ProjectMembership};
pub use provisioning::{
    Idempotency, NewTenant, Provisioned, ProvisionedBefore, Provisioning, ProvisioningStore,
};
pub use proxy::TrustedProxies;
pub use refusal::{Refusal, RefusalDetails, RefusalKind};
pub use request::{Field, RequestView};
pub use route::{RouteNeeds, RoutePolicy, TenantNeed};
pub use security_headers::{Merge, SecurityField, SecurityHeaders, SecurityHeadersBuilder};
pub use tenant::{
    DomainName, IllegalTransition, InvalidDomain, InvalidSlug, Settings, SettingsError, Slug,
    TenantKey, TenantRecord, TenantStatus, UnknownStatus,
};
pub use token_revocation::{RevokedBefore, TokenSubject};
pub use trace::TraceId;
