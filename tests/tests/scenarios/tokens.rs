//! The tokens that scenarios are played with, by name.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tenancy_core::{Timestamp, UserId};
use tenancy_tests::notes;

use crate::{
    issuers::{CLOUD, LOGIN, MACHINES, NEW_SSO, SSO, UNREGISTERED},
    key_server::KeyServer,
    signer::{Draft, SIGNERS, Signer},
};

/// How long the tokens hold: longer than any sequence moves the clock.
const LASTS: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Issues every token that a scenario names. They are issued once, so that a token that is sent
/// twice is the same text and may be remembered.
pub(crate) fn issue(
    server: &KeyServer,
    users: &BTreeMap<&'static str, UserId>,
    now: Timestamp,
) -> BTreeMap<&'static str, String> {
    let issued = Issued { server, users, now };
    let mut tokens = issued.of_login();
    tokens.extend(issued.forged());
    tokens.extend(issued.of_sso());
    tokens.extend(issued.of_cloud());
    tokens.extend(issued.of_machines());
    tokens.into_iter().collect()
}

type Named = Vec<(&'static str, String)>;

struct Issued<'a> {
    server: &'a KeyServer,
    users: &'a BTreeMap<&'static str, UserId>,
    now: Timestamp,
}

impl Issued<'_> {
    fn draft(&self, issuer: &str, signer: &'static Signer, subject: Value) -> Draft {
        let claims = json!({
            "iss": self.server.issuer(issuer),
            "aud": notes::AUDIENCE,
            "sub": subject,
            "iat": self.now.as_unix_seconds(),
            "exp": (self.now + LASTS).as_unix_seconds(),
        });
        Draft::new(signer, claims)
    }

    fn login(&self, signer: &'static Signer, user: &str) -> Draft {
        self.draft(LOGIN, signer, json!(self.users[user]))
    }

    /// What the service's own provider signs, and what it should not have.
    fn of_login(&self) -> Named {
        let keys = &*SIGNERS;
        let alice = || self.login(&keys.rsa, "alice");
        let past = self.now - Duration::from_secs(300);
        vec![
            ("alice's, RS256", alice().text()),
            ("alice's, ES256", self.login(&keys.ec, "alice").text()),
            ("alice's, EdDSA", self.login(&keys.ed, "alice").text()),
            ("bob's", self.login(&keys.ed, "bob").text()),
            ("of the next key", self.login(&keys.next, "alice").text()),
            ("without a kid", alice().header("kid", Value::Null).text()),
            (
                "of another audience",
                alice().claim("aud", json!("invoices")).text(),
            ),
            (
                "without an audience",
                alice().claim("aud", Value::Null).text(),
            ),
            (
                "of an unregistered issuer",
                self.draft(UNREGISTERED, &keys.stranger, json!(self.users["alice"]))
                    .text(),
            ),
            (
                "of nearly the issuer",
                alice()
                    .claim("iss", json!(format!("{}/", self.server.issuer(LOGIN))))
                    .text(),
            ),
            (
                "expired",
                alice().claim("exp", json!(past.as_unix_seconds())).text(),
            ),
            (
                "for logging out",
                alice().header("typ", json!("logout+jwt")).text(),
            ),
            (
                "with an unusable kid",
                alice().header("kid", json!("k".repeat(257))).text(),
            ),
            (
                "under another key's kid",
                alice().header("kid", json!("ec")).text(),
            ),
            (
                "for somebody who is no user",
                alice().claim("sub", json!("alice")).text(),
            ),
        ]
    }

    /// What somebody makes up who knows all that is public.
    fn forged(&self) -> Named {
        let keys = &*SIGNERS;
        let alice = || self.login(&keys.rsa, "alice");
        let forged = || alice().signed_by(&keys.stranger);
        // A set in which that somebody publishes his own key, where the service can reach it.
        let elsewhere = format!("{}/keys", self.server.issuer(UNREGISTERED));
        let invented = |kid: &str| forged().header("kid", json!(kid)).text();
        vec![
            ("forged", forged().text()),
            ("of an unknown kid", invented("retired-2019")),
            ("of an invented kid", invented("../../keys' OR '1'='1")),
            ("of one more invented kid", invented("one more")),
            (
                "HS256 under the public key",
                alice().text_under(&keys.rsa.public_bytes()),
            ),
            (
                "HS256 under the published key",
                alice().text_under(keys.rsa.jwk().to_string().as_bytes()),
            ),
            ("HS256 under nothing", alice().text_under(b"")),
            (
                "HS256 under a published secret",
                alice()
                    .header("kid", json!("secret"))
                    .text_under(PUBLISHED_SECRET),
            ),
            ("unsigned", alice().text_unsigned()),
            (
                "that brings its key along",
                forged().header("jwk", keys.stranger.jwk()).text(),
            ),
            (
                "that says where its key is",
                forged().header("jku", json!(elsewhere)).text(),
            ),
            (
                "of a kid of its own that says where its key is",
                forged()
                    .header("kid", json!("stranger"))
                    .header("jku", json!(elsewhere))
                    .header("x5u", json!(elsewhere))
                    .text(),
            ),
        ]
    }

    /// What a tenant's own single sign-on signs.
    fn of_sso(&self) -> Named {
        let keys = &*SIGNERS;
        let dana = || self.draft(SSO, &keys.sso, json!("dana"));
        vec![
            ("dana's", dana().text()),
            (
                "of SSO about the service's user",
                dana().claim("sub", json!(self.users["bob"])).text(),
            ),
            (
                "of SSO that claims another tenant",
                dana()
                    .claim("tenant", json!("globex"))
                    .claim("organizations", json!(["globex"]))
                    .text(),
            ),
            (
                "gina's",
                self.draft(NEW_SSO, &keys.new_sso, json!("gina")).text(),
            ),
            (
                "of SSO by the other issuer",
                dana().signed_by(&keys.ed).text(),
            ),
            (
                "of the login by SSO",
                self.login(&keys.ed, "bob").signed_by(&keys.sso).text(),
            ),
        ]
    }

    /// What says much about itself.
    fn of_cloud(&self) -> Named {
        let of = |user: &str| {
            self.draft(CLOUD, &SIGNERS.cloud, json!(self.users[user]))
                .claim("organizations", json!(["acme", "globex"]))
                .claim("scope", json!("openid notes:*"))
                .claim("roles", json!(["owner"]))
                .claim("azp", json!("web"))
        };
        let (alice, carol, none) = (|| of("alice"), || of("carol"), Value::Null);
        let only = |tenant: &str| json!([tenant]);
        vec![
            ("carol's of two tenants", carol().text()),
            (
                "carol's of two tenants, one of them meant",
                carol().claim("organization", json!("globex")).text(),
            ),
            (
                "carol's of one tenant",
                carol().claim("organizations", only("acme")).text(),
            ),
            (
                "alice's of a tenant that is not hers",
                alice().claim("organizations", only("globex")).text(),
            ),
            (
                "of no tenants",
                alice().claim("organizations", json!([])).text(),
            ),
            (
                "without tenants",
                alice().claim("organizations", none.clone()).text(),
            ),
            ("alice's of all scopes", alice().text()),
            (
                "alice's for reading",
                alice().claim("scope", json!("openid notes:read")).text(),
            ),
            (
                "without scopes",
                alice().claim("scope", none.clone()).text(),
            ),
            (
                "alice's as a viewer",
                alice().claim("roles", only("viewer")).text(),
            ),
            (
                "alice's in a role that nobody knows",
                alice().claim("roles", only("emperor")).text(),
            ),
            ("without roles", alice().claim("roles", none.clone()).text()),
            ("vera's as an owner", of("vera").text()),
            (
                "for another application",
                alice().claim("azp", json!("batch")).text(),
            ),
            ("for no application", alice().claim("azp", none).text()),
        ]
    }

    /// What a program gets for its client's credentials.
    fn of_machines(&self) -> Named {
        let exporter = || {
            self.draft(MACHINES, &SIGNERS.machines, json!("exporter"))
                .claim("client_id", json!("exporter"))
                .claim("tenant", json!("acme"))
                .claim("scope", json!("notes:read"))
        };
        vec![
            ("of a service account", exporter().text()),
            (
                "of a service account without a tenant",
                exporter().claim("tenant", Value::Null).text(),
            ),
            (
                "of the service account's maker",
                exporter().claim("sub", json!("maker")).text(),
            ),
        ]
    }
}

/// A shared secret that an issuer publishes by mistake, so that everybody knows it.
pub(crate) const PUBLISHED_SECRET: &[u8] = b"a secret that everybody may read";
