//! An issuer whose answers are wrong in every way that could matter.

use anyhow::ensure;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{ADMITTED, COOL_DOWN, DESCRIPTION, UNAVAILABLE, UNKNOWN_KEY, said, with_issuers};
use crate::{
    issuers::{self, LOGIN, UNREGISTERED},
    key_server::Reply,
    signer::SIGNERS,
    tokens::PUBLISHED_SECRET,
    world::World,
};

const KEYS: &str = "login/keys";

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn secret() -> Value {
    let secret = URL_SAFE_NO_PAD.encode(PUBLISHED_SECRET);
    json!({ "kty": "oct", "kid": "secret", "alg": "HS256", "use": "sig", "k": secret })
}

/// What an issuer must not answer, and where it does.
fn lies(world: &World) -> Vec<(&'static str, Reply)> {
    let good = || SIGNERS.next.jwk();
    let mut for_encryption = good();
    for_encryption["use"] = json!("enc");
    let huge = json!({ "keys": [good()], "x": "x".repeat(256 * 1024) });
    let server = &world.key_server;
    let elsewhere = format!("{}/keys", server.issuer(UNREGISTERED));
    let describes = |issuer: String, keys: &str| {
        Reply::Body(json!({ "issuer": issuer, "jwks_uri": keys }).to_string())
    };
    let body = |text: &str| Reply::Body(text.to_owned());
    vec![
        (KEYS, body("<html>Sign in</html>")),
        (KEYS, body("")),
        (KEYS, body("[]")),
        (KEYS, Reply::Body(set(&[]))),
        (KEYS, Reply::Body(set(&[secret()]))),
        (KEYS, Reply::Body(set(&[for_encryption]))),
        (KEYS, Reply::Body(set(&[good(), good()]))),
        (KEYS, Reply::Body(huge.to_string())),
        (KEYS, Reply::Failure(set(&[good()]))),
        (KEYS, Reply::Redirect(elsewhere.clone())),
        (DESCRIPTION, Reply::Redirect(elsewhere.clone())),
        (DESCRIPTION, body("<html>Sign in</html>")),
        (
            DESCRIPTION,
            describes(server.issuer(UNREGISTERED), &elsewhere),
        ),
        (
            DESCRIPTION,
            describes(server.issuer(LOGIN), "https://169.254.169.254/keys"),
        ),
        (DESCRIPTION, describes(server.issuer(LOGIN), "file:///keys")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_lies_replaces_no_key() -> anyhow::Result<()> {
    with_issuers(async |world, service| {
        ensure_said!(world, service, "alice's, RS256", ADMITTED, "before");
        let invented = "of one more invented kid";
        for (number, (path, lie)) in lies(world).into_iter().enumerate() {
            issuers::publish(&world.key_server);
            world.key_server.replies(path, lie);
            world.clock.advance(COOL_DOWN);
            let before = world.key_server.asked(path);
            // Whether that key exists, nobody was told.
            ensure_said!(world, service, invented, UNAVAILABLE, "lie {number}");
            ensure!(world.key_server.asked(path) > before, "lie {number}");
            for known in ["alice's, RS256", "alice's, ES256", "alice's, EdDSA"] {
                ensure_said!(world, service, known, ADMITTED, "after lie {number}");
            }
        }
        ensure!(world.key_server.asked(UNREGISTERED) == 0);

        // Half a lie: the good key counts, and the secret that everybody may read does not.
        let mixed = [SIGNERS.rsa.jwk(), secret()];
        world.key_server.publishes(LOGIN, &mixed);
        world.clock.advance(COOL_DOWN);
        let forged = "HS256 under a published secret";
        ensure_said!(world, service, forged, UNKNOWN_KEY, "a published secret");
        ensure_said!(
            world,
            service,
            "alice's, RS256",
            ADMITTED,
            "beside a secret"
        );
        Ok(())
    })
    .await
}
