//! With both backends compiled in and none chosen, `jsonwebtoken` panics at the first token. Ours
//! are signed and verified all the same.

use tenancy_core::{
    Authenticator as _, Clock as _, Credential, PermissionRegistry, ServiceId, SystemClock,
    SystemRole, TenantId, Verdict,
    jwt::{Algorithm, SigningKey, TokenMinter, VerificationKey},
};

const ISSUER: &str = "https://jobs.example.com";
const AUDIENCE: &str = "https://api.example.com";
const SECRET: [u8; 64] = [0x5c; 64];

/// Made by `openssl genpkey` for this test.
const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIDmkM8XVzAKvIP+CNSuqbkZ8S2M5DLRzHgXPo4nQB2wH
-----END PRIVATE KEY-----";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAlVfbrxex5/jla2CkWhTDhaol3tpAgUaYzuYU0FB/C5A=
-----END PUBLIC KEY-----";
const P256_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbnYPs2cEjfa+t9HbACPF1erGWHuIA4C+pK/p
++BAvK+hRANCAAQhaxVpjZs1E4Lbgy0E9/yLk/Ci9MMap4ZPkCO8Uilycx2u+7LwyxDE7fPnvy8MPnjie/c4
nBbI4uP9Jjwzt+Fu
-----END PRIVATE KEY-----";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEIWsVaY2bNROC24MtBPf8i5PwovTD
GqeGT5AjvFIpcnMdrvuy8MsQxO3z578vDD544nv3OJwWyOLj/SY8M7fhbg==
-----END PUBLIC KEY-----";

const RSA: &str = "-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrc
S2mJPMEzP1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+
bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5Zw
Kh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp
oQIDAQAB
-----END RSA PUBLIC KEY-----";
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGx\
    lLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5R\
    Zmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrn\
    byTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHW\
    EsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig\
    cN_IoypGlUPQGe77Rw";

#[test]
fn the_trap_is_set() {
    let key = jsonwebtoken::EncodingKey::from_secret(&SECRET);
    let sign = || jsonwebtoken::encode(&jsonwebtoken::Header::default(), &[0_u8; 0], &key);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(sign)).is_err());
}

fn registry() -> PermissionRegistry {
    PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .build()
        .unwrap()
}

#[test]
fn tokens_of_every_kind_of_key_are_signed_and_verified() {
    let registry = registry();
    let hmac = |algorithm| {
        let signing = SigningKey::hmac(algorithm, SECRET).unwrap();
        (signing, VerificationKey::hmac(algorithm, SECRET).unwrap())
    };
    let pem = |algorithm, private, public| {
        let signing = SigningKey::pem(algorithm, private).unwrap();
        (signing, VerificationKey::pem(algorithm, public).unwrap())
    };
    for (signing, verifying) in [
        hmac(Algorithm::HS256),
        hmac(Algorithm::HS384),
        hmac(Algorithm::HS512),
        pem(Algorithm::EdDSA, ED25519_PRIVATE, ED25519),
        pem(Algorithm::ES256, P256_PRIVATE, P256),
    ] {
        let algorithm = verifying.algorithm();
        let now = SystemClock.now();
        let minter = TokenMinter::new(ISSUER, AUDIENCE, signing).unwrap();
        let scope = registry.scope(["notes:read"]);
        let token = minter.mint(ServiceId::new(), TenantId::new(), &registry, scope, now);
        let token = token.unwrap();
        let tokens = TokenMinter::verifier(ISSUER, AUDIENCE, verifying, &registry);
        let verdict = tokens
            .build()
            .unwrap()
            .probe(Credential::new(token.expose()), now);
        assert!(
            matches!(verdict, Verdict::Verified(_)),
            "{algorithm}: {verdict:?}"
        );
    }
}

/// The example of RFC 7515 appendix A.2: its signature counts, and it lacks an audience.
#[test]
fn a_signature_of_rsa_is_verified() {
    let key = VerificationKey::pem(Algorithm::RS256, RSA).unwrap();
    let tokens = tenancy_core::jwt::JwtAuthenticator::builder("joe", AUDIENCE)
        .key(key)
        .build()
        .unwrap();
    let then = tenancy_core::Timestamp::from_unix_seconds(1_300_819_000);
    for (token, reason) in [
        (RSA_TOKEN.to_owned(), "token-audience"),
        (RSA_TOKEN.replacen("cC4h", "cC4i", 1), "token-signature"),
    ] {
        match tokens.probe(Credential::new(&token), then) {
            Verdict::Rejected(rejection) => assert_eq!(rejection.reason(), reason),
            verdict => panic!("{verdict:?}"),
        }
    }
}
