//! What is asked for: a tenant with its owner, and what else it begins with.

use std::fmt;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Idempotency, ProvisionedBefore};
use crate::{
    Account, Actor, DomainName, EmailAddress, Grant, KeyId, ProjectId, RoleName, Settings, Slug,
    StoreError, StoreErrorKind, SystemRole, TenantId, TenantKey, UserId, key::IssuedKey,
};

/// The longest key of a caller, in bytes.
const MAX_KEY: usize = 255;

/// The most names besides the slug.
const MAX_NAMES: usize = 16;

/// A tenant that is to be made with all that it begins with, in one transaction: see
/// [`Admin::provision`](crate::Admin::provision).
///
/// ```
/// use tenancy_core::{Provisioning, Settings, UserId};
///
/// # let alice = UserId::new();
/// let acme = Provisioning::new("acme".parse()?, "Acme Ltd", alice)
///     .plan("trial")
///     .settings(Settings::new(serde_json::json!({ "locale": "de" })))
///     .project("general".parse()?, "General")
///     .external("stripe", "cus_4711")
///     .first_key("first key", ["notes:read".parse()?])
///     // From the client, one for each form that is shown: what is sent twice is made once.
///     .idempotency_key("0c4ab6f0-5c5a-4f0e-9a58-1d1c9e5f8a11");
/// # drop(acme);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
/// Plan, settings, role and scopes are what the application decides. Of a form that anybody may send, take the slug, the
/// name and the key, and nothing else.
#[derive(Clone)]
#[must_use]
pub struct Provisioning {
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) owner: UserId,
    pub(crate) role: RoleName,
    pub(crate) plan: Option<String>,
    pub(crate) settings: Settings,
    pub(crate) project: Option<(Slug, String)>,
    pub(crate) names: Vec<TenantKey>,
    pub(crate) first_key: Option<(String, Vec<Grant>)>,
    pub(crate) account: Option<Account>,
    idempotency_key: Option<String>,
}

impl Provisioning {
    /// An active tenant with this slug and name, and its owner.
    pub fn new(slug: Slug, name: impl Into<String>, owner: UserId) -> Self {
        Self {
            slug,
            name: name.into(),
            owner,
            role: SystemRole::Owner.name(),
            plan: None,
            settings: Settings::default(),
            project: None,
            names: Vec::new(),
            first_key: None,
            account: None,
            idempotency_key: None,
        }
    }

    /// The same, whose owner is somebody who has no account yet: the account is made too.
    ///
    /// ```
    /// # #[cfg(feature = "argon2")]
    /// # async fn sign_up(passwords: tenancy_core::Passwords, typed: String) -> Result<(), Box<dyn std::error::Error>> {
    /// use tenancy_core::{Account, Provisioning, key::LowEntropySecret};
    ///
    /// let hash = passwords.hash(LowEntropySecret::new(typed)?).await?;
    /// let alice = Account::with_password("alice@example.com".parse()?, hash);
    /// let acme = Provisioning::with_account("acme".parse()?, "Acme Ltd", alice);
    /// # drop(acme);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_account(slug: Slug, name: impl Into<String>, owner: Account) -> Self {
        Self {
            account: Some(owner.clone()),
            ..Self::new(slug, name, owner.user)
        }
    }

    /// The role of the owner, one of those that every tenant has: a new one has none of its own. Default: `owner`.
    pub fn role(mut self, role: RoleName) -> Self {
        self.role = role;
        self
    }

    /// The plan, as for [`Admin::set_plan`](crate::Admin::set_plan). Default: none.
    pub fn plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// The settings. Default: none.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The first project, of which the owner is a member in the same role. Default: none.
    pub fn project(mut self, slug: Slug, name: impl Into<String>) -> Self {
        self.project = Some((slug, name.into()));
        self
    }

    /// Adds another system's id that names the tenant, such as a customer's at a payment provider.
    pub fn external(mut self, provider: impl Into<Box<str>>, id: impl Into<Box<str>>) -> Self {
        self.names.push(TenantKey::External {
            provider: provider.into(),
            id: id.into(),
        });
        self
    }

    /// Adds a custom domain that names the tenant.
    ///
    /// # Security
    /// Make sure that the owner has the domain first.
    pub fn domain(mut self, domain: DomainName) -> Self {
        self.names.push(TenantKey::Domain(domain));
        self
    }

    /// A first API key, which acts with the owner's rights as far as the scopes go. Its text is in
    /// [`Provisioned::first_key`], once. Default: none.
    pub fn first_key(
        mut self,
        name: impl Into<String>,
        scopes: impl IntoIterator<Item = Grant>,
    ) -> Self {
        self.first_key = Some((name.into(), scopes.into_iter().collect()));
        self
    }

    /// The caller's key for this request, of 1 to 255 bytes: whoever repeats the request with its key gets the tenant that
    /// it has made, for 24 hours. Default: none, and a repetition is a conflict over the slug.
    ///
    /// A key counts for one owner, and for whoever's authority it is. The store has a digest of it.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Whether it can be made at all.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let invalid = |message: String| Err(StoreError::new(StoreErrorKind::Invalid, message));
        if self.names.len() > MAX_NAMES {
            return invalid(format!(
                "a tenant begins with at most {MAX_NAMES} domains and other systems' ids; bind more afterwards"
            ));
        }
        let key = self.idempotency_key.as_deref();
        if key.is_some_and(|key| key.is_empty() || key.len() > MAX_KEY) {
            return invalid(format!(
                "an idempotency key has 1 to {MAX_KEY} bytes; make it a random UUID"
            ));
        }
        match &self.account {
            Some(account) => account.check(),
            None => Ok(()),
        }
    }

    /// What a store knows a repetition by, where it has to know one.
    pub(crate) fn idempotency(&self, by: &Actor) -> Option<Idempotency> {
        let key = self.idempotency_key.as_deref()?;
        let owner = self.owner_as_asked();
        let scope = json!(["tenancy.provision", by.to_string(), owner, key]);
        let names: Vec<_> = self.names.iter().map(ToString::to_string).collect();
        let scopes = self.first_key.as_ref().map(|(name, scopes)| {
            let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
            json!([name, scopes])
        });
        // Without the password: a digest that is made fast is no place for it.
        let request = json!([
            self.slug,
            self.name,
            owner,
            self.role,
            self.plan,
            self.settings.as_json(),
            self.project,
            names,
            scopes
        ]);
        Some(Idempotency::new(digest(&scope), digest(&request)))
    }

    /// Who the owner is to be, also in a repetition, which has another id for a new account.
    fn owner_as_asked(&self) -> Value {
        match &self.account {
            Some(account) => {
                let subjects: Vec<_> = (account.subjects.iter())
                    .map(|one| json!([one.issuer(), one.subject()]))
                    .collect();
                json!([account.email.as_ref().map(EmailAddress::as_str), subjects])
            }
            None => json!(self.owner),
        }
    }
}

/// Without the key, which gets whoever has it the answer.
impl fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provisioning")
            .field("slug", &self.slug)
            .field("owner", &self.owner)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

fn digest(of: &Value) -> [u8; 32] {
    Sha256::digest(of.to_string()).into()
}

/// A tenant that [`Admin::provision`](crate::Admin::provision) has made.
///
/// ```
/// # use tenancy_core::{Provisioning, StoreError, Tenancy, danger};
/// # async fn example(tenancy: Tenancy, acme: Provisioning) -> Result<(), StoreError> {
/// let made = tenancy.admin(danger::service("signed up")?).provision(&acme).await?;
/// if let Some(key) = &made.first_key {
///     println!("shown once, in a response that nobody stores: {}", key.expose());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Provisioned {
    /// The tenant.
    pub tenant: TenantId,
    /// Its owner.
    pub owner: UserId,
    /// Its first project, if one was asked for.
    pub project: Option<ProjectId>,
    /// The id of its first key, if one was asked for.
    pub key: Option<KeyId>,
    /// Its first key with the text. `None` in a repetition: the text was told once, and nobody has it any more. Whoever has
    /// lost it [rotates](crate::KeyAdmin::rotate) the key.
    pub first_key: Option<IssuedKey>,
    /// Whether it was made before, by a request with the same key.
    ///
    /// # Security
    /// Whoever repeats has shown a key, and no password. Sign nobody in for it.
    pub replayed: bool,
}

impl From<ProvisionedBefore> for Provisioned {
    fn from(before: ProvisionedBefore) -> Self {
        Self {
            tenant: before.tenant,
            owner: before.owner,
            project: before.project,
            key: before.key,
            first_key: None,
            replayed: true,
        }
    }
}
