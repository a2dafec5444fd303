//! Tokens by algorithm, beside jsonwebtoken alone: verified anew, and remembered among 10 and
//! 100,000.

use std::{
    hint::black_box,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tenancy_core::{
    Authenticator as _, Clock as _, Credential, SystemClock, UserId, Verdict, jwt::JwtAuthenticator,
};
use tenancy_tests::notes::{AUDIENCE, ISSUER};

use crate::{
    ratio::{self, Bound},
    signer::Signer,
};

pub(crate) async fn run() {
    ratio::heading("Tokens verified anew, beside jsonwebtoken alone, µs");
    let signers = Signer::all();
    for signer in &signers {
        anew(signer).await;
    }
    let many = if ratio::hurries() { 100 } else { 100_000 };
    ratio::heading("Remembered tokens");
    for signer in &signers {
        remembered(signer, many);
    }
}

fn claims() -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": UserId::new().to_string(),
        "iat": now, "nbf": now, "exp": now + 3600,
    })
}

fn authenticator(signer: &Signer, remembered: usize) -> JwtAuthenticator {
    JwtAuthenticator::builder(ISSUER, AUDIENCE)
        .key(signer.ours())
        .cache_bytes(remembered * 2048)
        .build()
        .unwrap()
}

fn verify(tokens: &JwtAuthenticator, text: &str) {
    match tokens.probe(Credential::new(black_box(text)), SystemClock.now()) {
        Verdict::Verified(principal) => drop(black_box(principal)),
        other => unreachable!("{other:?}"),
    }
}

/// Every check of ours, beside what jsonwebtoken checks when it is asked to.
async fn anew(signer: &Signer) {
    let text = signer.token(&claims());
    let tokens = authenticator(signer, 0);
    let algorithm: jsonwebtoken::Algorithm = signer.algorithm.to_string().parse().unwrap();
    let mut validation = jsonwebtoken::Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_nbf = true;
    let key = signer.theirs();
    let rounds = ratio::by_turns(
        20,
        async || verify(&tokens, &text),
        async || {
            let decoded = jsonwebtoken::decode::<Value>(black_box(&text), &key, &validation);
            drop(black_box(decoded.unwrap()));
        },
    )
    .await;
    let name = format!("{}: verified : decoded", signer.algorithm);
    ratio::pair(&name, &rounds, "µs", Bound::None);
}

fn remembered(signer: &Signer, many: usize) {
    for count in [10, many] {
        // Room for more than there are, whatever the number.
        let tokens = authenticator(signer, count.max(1_000));
        let texts = sign(signer, count);
        for text in &texts {
            verify(&tokens, text);
        }
        let time = ratio::nanoseconds_each(
            // What has just arrived is in the processor's caches; what is known of it is not.
            |random| texts.get(random % texts.len()).unwrap().clone(),
            |text| verify(&tokens, text),
        );
        let name = format!("{}, one of {count}", signer.algorithm);
        ratio::figure(&name, time, "ns", Bound::AtMost(500.0));
    }
}

/// Signs on both cores: RSA takes its time.
fn sign(signer: &Signer, count: usize) -> Vec<String> {
    std::thread::scope(|threads| {
        let half = |count: usize| {
            threads.spawn(move || (0..count).map(|_| signer.token(&claims())).collect())
        };
        let halves: [_; 2] = [half(count / 2), half(count - count / 2)];
        halves
            .into_iter()
            .flat_map(|half| -> Vec<String> { half.join().unwrap() })
            .collect()
    })
}
