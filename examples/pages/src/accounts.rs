//! Accounts of the whole service: who may sign in, and to which organizations they belong.

mod confirming;

use sqlx::{FromRow, PgPool, postgres::PgPoolOptions};
use tenancy::{
    Actor, AllowedTenants, PasswordVerdict, Passwords, Principal, Refusal, RefusalKind, Tenancy,
    TenantId, UserId, VerifiedEmail, http::Error, key::SecretHash, one_time::OneTimeTokens,
};
use uuid::Uuid;

use crate::{forms, mails::Mails, password};

/// The tables of accounts and sessions, by a login that sees nothing of any tenant, and the engine, which knows who is
/// a member where.
#[derive(Debug, Clone)]
pub struct Accounts {
    pool: PgPool,
    tenancy: Tenancy,
    passwords: Passwords,
    tokens: OneTimeTokens,
    mails: Mails,
}

/// Somebody who can sign in.
#[derive(Clone, FromRow)]
pub struct Account {
    id: Uuid,
    pub name: String,
    pub password_hash: String,
    email: String,
    pub confirmed: bool,
}

/// A tenant as its member sees it in the switcher.
#[derive(Debug, Clone)]
pub struct Organization {
    pub id: TenantId,
    pub slug: String,
    pub name: String,
    pub role: String,
}

impl Account {
    /// As the engine knows them.
    pub fn user(&self) -> UserId {
        UserId::from_uuid(self.id)
    }

    /// Its address, once its owner has shown that mails to it arrive.
    pub fn verified_email(&self) -> Option<VerifiedEmail> {
        let email = forms::address(&self.email)?;
        self.confirmed
            .then(|| VerifiedEmail::vouched_by_application(email))
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Accounts {
    pub(crate) async fn connect(
        url: &str,
        tenancy: &Tenancy,
        passwords: Passwords,
        tokens: OneTimeTokens,
        mails: Mails,
    ) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(5).connect(url).await?;
        let tenancy = tenancy.clone();
        Ok(Self {
            pool,
            tenancy,
            passwords,
            tokens,
            mails,
        })
    }

    /// The engine, which knows who is a member where.
    pub(crate) const fn tenancy(&self) -> &Tenancy {
        &self.tenancy
    }

    /// For the table of sessions.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The new account, whose address is yet to be confirmed; `None` if the email has one already.
    pub async fn sign_up(&self, form: forms::SignUp) -> Result<Option<Account>, Error> {
        let email = forms::address(&form.email)
            .ok_or_else(|| Refusal::new(RefusalKind::Invalid, "no-address"))?;
        let hash = password::hash(&self.passwords, form.password).await?;
        let insert = "INSERT INTO accounts (email, name, password_hash) VALUES ($1, $2, $3) \
                      ON CONFLICT (email) DO NOTHING \
                      RETURNING id, name, password_hash, email, confirmed_at IS NOT NULL AS confirmed";
        let insert = sqlx::query_as(insert)
            .bind(email.as_str().to_owned())
            .bind(form.name.trim().to_owned())
            .bind(hash.as_str());
        let account: Option<Account> = insert.fetch_optional(&self.pool).await?;
        if let Some(account) = &account {
            self.mail_link(account).await?;
        }
        Ok(account)
    }

    /// The account, if the password is right.
    pub async fn log_in(&self, form: forms::LogIn) -> Result<Option<Account>, Error> {
        // What is no address has no account, and takes as long.
        let email = forms::address(&form.email).map_or(form.email, |email| email.to_string());
        let select = "SELECT id, name, password_hash, email, confirmed_at IS NOT NULL AS confirmed \
                      FROM accounts WHERE email = $1";
        let account: Option<Account> = sqlx::query_as(select)
            .bind(&email)
            .fetch_optional(&self.pool)
            .await?;
        let stored = account.as_ref();
        let stored = stored.map(|account| SecretHash::from_stored(account.password_hash.as_str()));
        let verdict =
            password::verify(&self.passwords, &email, stored.as_ref(), form.password).await?;
        match (verdict, account) {
            (PasswordVerdict::Right { renewed }, Some(mut account)) => {
                if let Some(renewed) = renewed {
                    self.renew(&account, &renewed).await?;
                    renewed.as_str().clone_into(&mut account.password_hash);
                }
                Ok(Some(account))
            }
            _ => Ok(None),
        }
    }

    /// Keeps another hash of the same password, unless it was changed meanwhile.
    async fn renew(&self, account: &Account, renewed: &SecretHash) -> Result<(), sqlx::Error> {
        let update = "UPDATE accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2";
        let update = sqlx::query(update)
            .bind(account.id)
            .bind(&account.password_hash)
            .bind(renewed.as_str());
        update.execute(&self.pool).await.map(drop)
    }

    pub async fn find(&self, user: UserId) -> Result<Option<Account>, sqlx::Error> {
        let select = "SELECT id, name, password_hash, email, confirmed_at IS NOT NULL AS confirmed \
                      FROM accounts WHERE id = $1";
        let select = sqlx::query_as(select).bind(user.as_uuid());
        select.fetch_optional(&self.pool).await
    }

    /// The names of accounts, in no order.
    pub async fn names(&self, users: &[Uuid]) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
        let select = sqlx::query_as("SELECT id, name FROM accounts WHERE id = ANY ($1)");
        select.bind(users).fetch_all(&self.pool).await
    }

    /// Where somebody is a member, by name: for the switcher.
    pub async fn organizations(&self, user: UserId) -> Result<Vec<Organization>, Error> {
        let user = Principal::new(Actor::User(user), AllowedTenants::Memberships, "sessions");
        let theirs = self.tenancy.tenants_of(&user, None, 100).await?;
        let served = theirs.into_iter().filter(|it| it.record.status.is_served());
        let mut organizations: Vec<_> = served
            .map(|it| Organization {
                id: it.record.id,
                slug: it.record.slug.to_string(),
                name: it.record.name,
                role: it.membership.role.to_string(),
            })
            .collect();
        organizations.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(organizations)
    }
}
