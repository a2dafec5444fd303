//! Accounts of the whole service: who may sign in, and to which organizations they belong.

use sqlx::{FromRow, PgPool, postgres::PgPoolOptions};
use tenancy::{
    Actor, AllowedTenants, PasswordVerdict, Passwords, Principal, Tenancy, UserId, http::Error,
    key::SecretHash,
};
use uuid::Uuid;

use crate::{forms, password};

/// The tables of accounts and sessions, by a login that sees nothing of any tenant, and the engine, which knows who is
/// a member where.
#[derive(Debug, Clone)]
pub struct Accounts {
    pool: PgPool,
    tenancy: Tenancy,
    passwords: Passwords,
}

/// Somebody who can sign in.
#[derive(Clone, FromRow)]
pub struct Account {
    id: Uuid,
    pub name: String,
    pub password_hash: String,
}

/// A tenant as its member sees it in the switcher.
#[derive(Debug, Clone)]
pub struct Organization {
    pub slug: String,
    pub name: String,
    pub role: String,
}

impl Account {
    /// As the engine knows them.
    pub fn user(&self) -> UserId {
        UserId::from_uuid(self.id)
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
    pub async fn connect(
        url: &str,
        tenancy: &Tenancy,
        passwords: Passwords,
    ) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(5).connect(url).await?;
        let tenancy = tenancy.clone();
        Ok(Self {
            pool,
            tenancy,
            passwords,
        })
    }

    /// For the table of sessions.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The new account; `None` if the email has one already.
    pub async fn sign_up(&self, form: forms::SignUp) -> Result<Option<Account>, Error> {
        let hash = password::hash(&self.passwords, form.password).await?;
        let insert = "INSERT INTO accounts (email, name, password_hash) VALUES ($1, $2, $3) \
                      ON CONFLICT (email) DO NOTHING RETURNING id, name, password_hash";
        let insert = sqlx::query_as(insert)
            .bind(form.email.trim().to_lowercase())
            .bind(form.name.trim().to_owned())
            .bind(hash.as_str());
        Ok(insert.fetch_optional(&self.pool).await?)
    }

    /// The account, if the password is right.
    pub async fn log_in(&self, form: forms::LogIn) -> Result<Option<Account>, Error> {
        let email = form.email.trim().to_lowercase();
        let select = "SELECT id, name, password_hash FROM accounts WHERE email = $1";
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
        let select = "SELECT id, name, password_hash FROM accounts WHERE id = $1";
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
                slug: it.record.slug.to_string(),
                name: it.record.name,
                role: it.membership.role.to_string(),
            })
            .collect();
        organizations.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(organizations)
    }
}
