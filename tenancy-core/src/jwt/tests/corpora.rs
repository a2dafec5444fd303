//! The examples printed in the RFCs, on the level of signatures and against the whole validator.
//!
//! Their claims are too few for a strict validator (none names an audience), so each example has
//! to verify as a signature and then be refused for what it lacks.

use base64::engine::general_purpose::STANDARD;

use super::{
    super::{VerificationKey, compact},
    *,
};

/// When the tokens of RFC 7515 were good: a little before their `exp`.
const IN_2011: i64 = 1_300_819_000;

const CLAIMS_OF_JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
    cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

pub(super) fn bytes(base64: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(base64).unwrap()
}

fn pem(label: &str, der: &[&[u8]]) -> String {
    let body = STANDARD.encode(der.concat());
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// A key of 2048 bits with the exponent 65537.
pub(super) fn rsa_key(algorithm: Algorithm, modulus: &str) -> VerificationKey {
    let head = b"\x30\x82\x01\x0a\x02\x82\x01\x01\x00";
    let der = [head, &*bytes(modulus), b"\x02\x03\x01\x00\x01"];
    VerificationKey::pem(algorithm, pem("RSA PUBLIC KEY", &der)).unwrap()
}

/// RFC 7515 appendix A.1, and the same token in RFC 7519 §3.1.
fn hs256_example() -> (VerificationKey, String) {
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS_OF_JOE}.\
         dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    (
        VerificationKey::hmac(Algorithm::HS256, bytes(secret)).unwrap(),
        token,
    )
}

/// RFC 7515 appendix A.2.
fn rs256_example() -> (VerificationKey, String) {
    let modulus = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS\
        2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bS\
        f63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9\
        kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let token = format!(
        "eyJhbGciOiJSUzI1NiJ9.{CLAIMS_OF_JOE}.\
         cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2\
         Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjt\
         QBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6\
         IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    (rsa_key(Algorithm::RS256, modulus), token)
}

/// RFC 7515 appendix A.3.
fn es256_example() -> (VerificationKey, String) {
    let head = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
        \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
    let x = bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    let y = bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let token = format!(
        "eyJhbGciOiJFUzI1NiJ9.{CLAIMS_OF_JOE}.\
         DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let pem = pem("PUBLIC KEY", &[head, &x, &y]);
    (VerificationKey::pem(Algorithm::ES256, pem).unwrap(), token)
}

/// RFC 8037 appendix A.4, whose payload is a sentence.
fn eddsa_example() -> (VerificationKey, String) {
    let head = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    let x = bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let pem = pem("PUBLIC KEY", &[head, &x]);
    (
        VerificationKey::pem(Algorithm::EdDSA, pem).unwrap(),
        token.into(),
    )
}

#[test]
fn the_examples_verify_as_signatures() {
    for (key, token) in [
        hs256_example(),
        rs256_example(),
        es256_example(),
        eddsa_example(),
    ] {
        let parts = compact::split(&token).unwrap();
        let signature = compact::decode(parts.signature).unwrap();
        assert!(
            key.verifies(parts.signing_input, signature.clone()),
            "{token}"
        );
        assert!(!key.verifies(parts.payload, signature), "{token}");
    }
}

#[test]
fn the_examples_lack_what_a_strict_validator_asks_for() {
    let outcome = |issuer, (key, token): (VerificationKey, String)| {
        let tokens = JwtAuthenticator::builder(issuer, AUDIENCE)
            .key(key)
            .build()
            .unwrap();
        outcome_at(&tokens, &token, Timestamp::from_unix_seconds(IN_2011))
    };
    for example in [hs256_example, rs256_example, es256_example] {
        assert_eq!(outcome("joe", example()), "token-audience");
        assert_eq!(outcome(ISSUER, example()), "not-mine");
    }
    assert_eq!(outcome("joe", eddsa_example()), "token-payload");
}

#[test]
fn what_the_rfcs_print_as_invalid_or_foreign_is_refused() {
    let tokens = JwtAuthenticator::builder("joe", AUDIENCE)
        .key(keys::verifier(Algorithm::HS256))
        .build()
        .unwrap();
    for (name, token, reason) in [
        (
            "RFC 7515 appendix A.4: ES512",
            "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1\
             bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOg\
             zDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
                .to_owned(),
            "token-algorithm",
        ),
        (
            "RFC 7515 appendix A.5 and RFC 7519 §6.1: alg none",
            format!("eyJhbGciOiJub25lIn0.{CLAIMS_OF_JOE}."),
            "token-algorithm",
        ),
        (
            "RFC 7515 appendix E: an unknown critical header",
            "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0\
             dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA."
                .to_owned(),
            "token-critical",
        ),
        (
            "RFC 7797 §4.2: an unencoded, detached payload",
            "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19..\
             A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY"
                .to_owned(),
            "token-critical",
        ),
        (
            "RFC 7516 §3.1: the five parts of an encrypted token",
            format!(
                "{}.a.b.c.d",
                base64(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#)
            ),
            "token-encrypted",
        ),
        (
            "RFC 7519 §5.2: a nested token",
            hs256(
                r#"{"alg":"HS256","cty":"JWT"}"#,
                hs256(HEADER, claims().to_string()),
            ),
            "token-nested",
        ),
    ] {
        assert_eq!(outcome_at(&tokens, &token, now()), reason, "{name}");
    }
}
