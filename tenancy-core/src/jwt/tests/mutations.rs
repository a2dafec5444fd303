//! 100,000 texts that are nearly tokens: none panics, and none that was changed is accepted.

use super::{super::JwtIssuers, *};

const CASES: usize = 100_000;

/// Bytes that mean something to a token or to the JSON in it.
const TELLING: &[u8] = b"..=-_+/{}[]\",:\\u0019eE \n\0\x7f\xff";

/// Marsaglia's xorshift64: the same cases on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        if self.below(2) == 0 {
            TELLING[self.below(TELLING.len())]
        } else {
            self.next().to_le_bytes()[0]
        }
    }

    /// Replaces, inserts, deletes, doubles or cuts, up to four times.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] = self.byte(),
                1 => bytes.insert(at, self.byte()),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, piece);
                }
                4 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
        }
    }

    fn mutated(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        self.mutate(&mut bytes);
        bytes
    }
}

#[test]
fn a_hundred_thousand_random_and_mutated_tokens_do_no_harm() {
    let plain = builder(Algorithm::HS256)
        .tenant_set_claim("orgs")
        .default_tenant_claim("org")
        .build()
        .unwrap();
    let issuers = JwtIssuers::new();
    issuers.add(authenticator()).unwrap();

    let mut claims = claims();
    claims["iat"] = NOW.into();
    claims["org"] = "acme".into();
    claims["orgs"] = serde_json::json!(["acme", "globex"]);
    let header = r#"{"alg":"HS256","typ":"JWT","kid":"k"}"#;
    let payload = claims.to_string();
    let good = hs256(header, &payload);
    assert_eq!(outcome_at(&plain, &good, now()), "accepted");

    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut reasons = std::collections::BTreeMap::<_, usize>::new();
    for case in 0..CASES {
        let (text, is_signed) = match case % 4 {
            0 => {
                let len = random.below(300);
                let noise: Vec<u8> = (0..len).map(|_| random.byte()).collect();
                (format!("eyJ{}", String::from_utf8_lossy(&noise)), false)
            }
            1 => {
                let bytes = random.mutated(&good);
                (String::from_utf8_lossy(&bytes).into_owned(), false)
            }
            2 => {
                let header = random.mutated(header);
                let message = format!("{}.{}", base64(header), base64(&payload));
                let signature = keys::sign(Algorithm::HS256, &message);
                (format!("{message}.{}", base64(signature)), true)
            }
            _ => (hs256(header, random.mutated(&payload)), true),
        };
        let said = outcome_at(&plain, &text, now());
        if !is_signed && text != good {
            assert_ne!(said, "accepted", "{text:?}");
        }
        let verdict = issuers.probe(Credential::new(&text), now());
        if !is_signed && text != good {
            assert!(!matches!(verdict, Verdict::Verified(_)), "{text:?}");
        }
        *reasons.entry(said).or_default() += 1;
    }
    // The cases reach every part of the validator, not only its door.
    for reason in [
        "token-header",
        "token-signature",
        "token-payload",
        "token-expiry",
        "not-mine",
    ] {
        assert!(
            reasons.get(reason).is_some_and(|n| *n > 100),
            "{reason}: {reasons:?}"
        );
    }
}
