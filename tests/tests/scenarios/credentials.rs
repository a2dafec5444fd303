//! What callers show: tokens of the service's simplest issuer, made when they are sent, and keys and
//! tokens that were issued beforehand.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use serde_json::json;
use tenancy_core::{Clock, ManualClock, UserId};
use tenancy_tests::{logwatch, notes};

use crate::{
    keys,
    scenario::{Credential, Place},
    sessions,
};

/// Everything that a credential is made of.
pub(crate) struct Credentials {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) users: BTreeMap<&'static str, UserId>,
    pub(crate) keys: BTreeMap<&'static str, String>,
    pub(crate) tokens: BTreeMap<&'static str, String>,
}

impl Credentials {
    /// The fields that carry a credential.
    pub(crate) fn fields(
        &self,
        credential: Credential,
    ) -> anyhow::Result<Vec<(&'static str, String)>> {
        let key = |name: &str| self.keys.get(name).cloned().context("no such key");
        let bearer = |text: String| ("authorization", format!("Bearer {text}"));
        let made = |user, issuer, lasts, secret| {
            let token = self.token(user, issuer, lasts, secret)?;
            anyhow::Ok(bearer(token))
        };
        Ok(match credential {
            Credential::Of(user) => vec![made(user, notes::ISSUER, 300, notes::SECRET)?],
            Credential::Expired(user) => vec![made(user, notes::ISSUER, -300, notes::SECRET)?],
            Credential::OfAnotherIssuer(user) => {
                vec![made(user, "https://elsewhere.example", 300, notes::SECRET)?]
            }
            Credential::Forged(user) => {
                let secret = b"a secret that somebody else made up.";
                vec![made(user, notes::ISSUER, 300, secret)?]
            }
            Credential::Twice(user) => {
                let good = made(user, notes::ISSUER, 300, notes::SECRET)?;
                vec![good.clone(), good]
            }
            Credential::Text(text) => vec![("authorization", text.to_owned())],
            Credential::Token(name) => {
                let token = self.tokens.get(name).cloned();
                vec![bearer(token.context("no such token")?)]
            }
            Credential::Session(place, user) => {
                let user = *self.users.get(user).context("no such user")?;
                let text = sessions::text(user, false);
                vec![match place {
                    Place::Cookie => cookie(&text),
                    Place::Scheme => ("authorization", format!("Token {text}")),
                    Place::Field(name) => (name, text),
                    Place::Certificate => (sessions::CERTIFICATE, text),
                    Place::Application => (sessions::APPLICATION, user.to_string()),
                }]
            }
            Credential::Ended(user) => {
                let user = *self.users.get(user).context("no such user")?;
                vec![cookie(&sessions::text(user, true))]
            }
            Credential::KeyField(name) => vec![("x-api-key", key(name)?)],
            Credential::Key(name) => vec![bearer(key(name)?)],
            Credential::Guess(name) => vec![bearer(keys::guess(&key(name)?))],
        })
    }

    fn token(&self, user: &str, issuer: &str, lasts: i64, secret: &[u8]) -> anyhow::Result<String> {
        let user = self.users.get(user).context("no such user")?;
        let now = Clock::now(&*self.clock).as_unix_seconds();
        let claims = json!({
            "iss": issuer, "aud": notes::AUDIENCE, "sub": user, "exp": now + lasts,
        });
        let key = jsonwebtoken::EncodingKey::from_secret(secret);
        let header = jsonwebtoken::Header::default();
        let token = jsonwebtoken::encode(&header, &claims, &key)?;
        logwatch::issued(&token);
        Ok(token)
    }
}

/// The session's cookie among others.
fn cookie(text: &str) -> (&'static str, String) {
    let name = sessions::COOKIE;
    ("cookie", format!("theme=dark; {name}={text}; caf\u{e9}=1"))
}
