//! Confirming an address: a link is mailed to it, and works for whoever is signed in to the account.

use tenancy::{
    Refusal, RefusalKind,
    http::Error,
    one_time::{OneTimeId, OneTimeKind},
};
use uuid::Uuid;

use super::{Account, Accounts};
use crate::{forms, mails::Mail};

impl Accounts {
    /// Mails a link to the address of an account that is yet to be confirmed. Links before are wrong from then on.
    pub async fn mail_link(&self, account: &Account) -> Result<(), Error> {
        let update = "UPDATE accounts SET links = links + 1, link_made_at = now() \
                      WHERE id = $1 AND confirmed_at IS NULL RETURNING links";
        let update = sqlx::query_scalar(update).bind(account.id);
        let links: Option<i32> = update.fetch_optional(&self.pool).await?;
        let (Some(links), Some(to)) = (links, forms::address(&account.email)) else {
            return Ok(());
        };
        let of = link(account, links)?;
        let version = self.tokens.digest(of).version();
        let token = self.tokens.text(of, version);
        let token = token.ok_or_else(|| Error::internal("the newest pepper is missing"))?;
        let mail = Mail {
            id: Uuid::now_v7(),
            to: &to,
            subject: "Confirm your address",
            text: "Open this page while you are signed in. If you have no account, do nothing.",
            path: &format!("/confirm/{}", token.expose()),
        };
        self.mails.post(&mail).await.map_err(Error::internal)
    }

    /// Notes that mails to the account's address arrive. Status 404 if it is not the newest link, or older than a day.
    ///
    /// The account is the one that is signed in: whoever signs up with somebody else's address can't have its owner
    /// confirm it by a click.
    pub async fn confirm(&self, account: &Account, token: &str) -> Result<(), Error> {
        let unknown = || Refusal::new(RefusalKind::NotFound, "no-such-link");
        let presented = OneTimeKind::EmailVerification.read(token);
        let presented = presented.filter(|token| token.id() == account.id);
        let presented = presented.ok_or_else(unknown)?;
        let select = "SELECT links FROM accounts WHERE id = $1 AND confirmed_at IS NULL \
                      AND link_made_at > now() - interval '1 day'";
        let select = sqlx::query_scalar(select).bind(account.id);
        let links: Option<i32> = select.fetch_optional(&self.pool).await?;
        let links = links.ok_or_else(unknown)?;
        if !self
            .tokens
            .verify(&presented, &self.tokens.digest(link(account, links)?))
        {
            return Err(unknown().into());
        }
        let update = "UPDATE accounts SET confirmed_at = now() \
                      WHERE id = $1 AND links = $2 AND confirmed_at IS NULL";
        let update = sqlx::query(update).bind(account.id).bind(links);
        match update.execute(&self.pool).await?.rows_affected() {
            0 => Err(unknown().into()),
            _ => Ok(()),
        }
    }
}

/// What the token of so many links is derived from. So the token itself is stored nowhere.
fn link(account: &Account, links: i32) -> Result<OneTimeId, Error> {
    let rotation = u32::try_from(links).map_err(Error::internal)?;
    Ok(OneTimeId::new(OneTimeKind::EmailVerification, account.id).at(rotation))
}
