//! Keys that exist for these tests only, and signatures made with them.

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::EncodingKey;

use super::super::{Algorithm, VerificationKey, backend::PROVIDER};

/// Every algorithm.
pub(super) const ALGORITHMS: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

pub(super) const SECRET: [u8; 64] =
    *b"64 bytes that are secret to this test and to everyone reading it";

/// Signs a message the way an issuer would.
pub(super) fn sign(algorithm: Algorithm, message: &str) -> Vec<u8> {
    let der = |base64: &str| STANDARD.decode(base64).unwrap();
    let key = match algorithm.as_str().as_bytes() {
        [b'H', ..] => EncodingKey::from_secret(&SECRET),
        [b'R' | b'P', ..] => EncodingKey::from_rsa_der(&der(RSA_PRIVATE)),
        b"ES256" => EncodingKey::from_ec_der(&der(P256_PRIVATE)),
        b"ES384" => EncodingKey::from_ec_der(&der(P384_PRIVATE)),
        _ => EncodingKey::from_ed_der(&der(ED25519_PRIVATE)),
    };
    let factory = PROVIDER.signer_factory;
    factory(&algorithm.backend(), &key)
        .unwrap()
        .try_sign(message.as_bytes())
        .unwrap()
}

/// The key that verifies what [`sign`] signs.
pub(super) fn verifier(algorithm: Algorithm) -> VerificationKey {
    let pem = match algorithm.as_str().as_bytes() {
        [b'H', ..] => return VerificationKey::hmac(algorithm, SECRET).unwrap(),
        [b'R' | b'P', ..] => RSA,
        b"ES256" => P256,
        b"ES384" => P384,
        _ => ED25519,
    };
    VerificationKey::pem(algorithm, pem).unwrap()
}

/// PKCS #1.
const RSA_PRIVATE: &str = "\
    MIIEpAIBAAKCAQEApfg4k7wKOuKSqrA/HaW7y/bXbGHBCdXMBtkQm40/DwZNMeJIck2/M+ck76z4PCDGP+fO\
    G/9evTWiyU8L8Z72SghkhlybN8+D7Y9d6pU2uO3oBI806Lyp0ZaQoyBI+GZroU1BnB0rlVWMrZY7v8kuheBw\
    XeASrdy9UREUlT/HbQvsnYdA1mCQxbtPaU4uq9/WBaNXLFrMJLas97g1GAxoX8gG2eIppvcwlPpXrYi8oEan\
    Y9BtRCq2ZKwC2WtwRp98AMCEfjm+CIyuXcxPDAY2NiVz/4oAFdEw0/HPClRgtPuZhIUkeKLY4MciKdYMSwJ7\
    a2IlX/AKgsjzIRZRg1G8iwIDAQABAoIBAAnlRF5Oml+Lbco+iuzWGl3dYFfGdk+DT1BjNdHIeKeJLSYZw08J\
    YqqSEAo4Sm6vV5Ks3AWgUsI+Re/xxhkIbM/aM0AtmlWYCloqL6PSdLpO+QP4k+OCiC+GZiZLwP4KgUVTSWOo\
    +5XCTYp2CCb1tE/oI1r9hq+WFzWTqqIBdP8D278LVtjK0G1e7omx2WGa4JcifpNJ6o9ef/OfB4SJSjjG3rok\
    Qyqyl06Mbu9P74BjqBwnVZFFdXq60dL1nPKOKGNpMqDeVqN883SQZW22jD6HGhFiTwFNFA6U50qeTOqb7j98\
    9c7eiSIXWOUXOvB9KKof2F6aku0JfT9p3Jeiwt0CgYEA55WTn2be/illKucuaj/rjycJsb4psn2ShM9HitpT\
    +fORj8rt3IqCpSZqpAJD0DbGF6orl/FRa1RG2uknTP8R3lsYmAGS8ACocmlcl8TlqtUxVyZHMquvNqWxe3My\
    kvO5cMvuVUPNaCRffSMzke3qVNpPMEpbf3fsYePt7Kkb2ncCgYEAt3e2+Id5XnLXinD/0t7qiPkxmDXqOQx0\
    0U9TE2vSpzhJPCB68nlF7i/IPg2uajZj3arwfRnIkgmHe3wUUWQcYHOYyYfCMItGrJtg4JPx7uyCu49NdLM1\
    k1gmlmGqbtzAg6DkS1X2OwFcWB2GJAiCC6/dkCEELcZF3TW/VxgqH40CgYEAgGxTM+dBK+LaxmLzO1p9D6KP\
    XrDcwK2gLeQggWC3hvnKM9pN86of7uOR6aeT4Ygua/sjN5xMEV/n9weqkqk0SIFt7wWYbV2ADApfnY5D6mtV\
    dEW23+OTQ5O5C4ODfTiJEoMUhNYXt3PMPEHkHD26YBm8JkRl3xcqz9ItI7tXxdsCgYB+G1x6EeybvgZnk2pU\
    kILXaansPMrlMamuIX8x70AZTrgQCydXOYKWyOMzvAWx3fbg69lns+xIbSJh/5SbqVtT9MEFbTpOUb1fcWGy\
    nB6Eoq7tqv+Lgo8F22aSoUkb8MKm91VUbx7TygimTIzigbKZw+VgZ0FPEWT+Oy5s+CAkFQKBgQCTLhZ2mo9z\
    AKLgXmljWeeX3VKHrgUp07J8yaRKYX4E87DT5jgqkvltI7m03YcbS4M/KTg2UW1MBG7lbc84IFXqEFQ/k9zB\
    qzPMbYVPvNGetRfetwrOMXSkMYOp+SqCzZ+6mszQFFzK3uTszK1x8qdbQ8o9ntQWfjn0fv4A0j15xg==";

/// PKCS #8.
pub(super) const P256_PRIVATE: &str = "\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbnYPs2cEjfa+t9HbACPF1erGWHuIA4C+pK/p\
    ++BAvK+hRANCAAQhaxVpjZs1E4Lbgy0E9/yLk/Ci9MMap4ZPkCO8Uilycx2u+7LwyxDE7fPnvy8MPnjie/c4\
    nBbI4uP9Jjwzt+Fu";

/// PKCS #8.
const P384_PRIVATE: &str = "\
    MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCIMGls3wnj+2tR5Bp5Dzpwn0WdeHdB2hmuuH3b\
    1PgLl8yGuml3K7SChYobR4st7pWhZANiAARUlEkP1LCGIxbrBcGzg60fB200MOSWLqNd1EpXy5CtnUnOGL5C\
    tZKMumzQYsblUuKnSNQakRPO55pruhs30Eso7q23CwopZdJNyvNRWpk1QPlzVNv3ketQu+ARqUGIFNk=";

/// PKCS #8.
pub(super) const ED25519_PRIVATE: &str = "\
    MC4CAQAwBQYDK2VwBCIEIDmkM8XVzAKvIP+CNSuqbkZ8S2M5DLRzHgXPo4nQB2wH";

/// 2048 bits.
pub(super) const RSA: &str = "\
-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApfg4k7wKOuKSqrA/HaW7
y/bXbGHBCdXMBtkQm40/DwZNMeJIck2/M+ck76z4PCDGP+fOG/9evTWiyU8L8Z72
SghkhlybN8+D7Y9d6pU2uO3oBI806Lyp0ZaQoyBI+GZroU1BnB0rlVWMrZY7v8ku
heBwXeASrdy9UREUlT/HbQvsnYdA1mCQxbtPaU4uq9/WBaNXLFrMJLas97g1GAxo
X8gG2eIppvcwlPpXrYi8oEanY9BtRCq2ZKwC2WtwRp98AMCEfjm+CIyuXcxPDAY2
NiVz/4oAFdEw0/HPClRgtPuZhIUkeKLY4MciKdYMSwJ7a2IlX/AKgsjzIRZRg1G8
iwIDAQAB
-----END PUBLIC KEY-----
";

/// The same in the older form.
pub(super) const RSA_PKCS1: &str = "\
-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEApfg4k7wKOuKSqrA/HaW7y/bXbGHBCdXMBtkQm40/DwZNMeJIck2/
M+ck76z4PCDGP+fOG/9evTWiyU8L8Z72SghkhlybN8+D7Y9d6pU2uO3oBI806Lyp
0ZaQoyBI+GZroU1BnB0rlVWMrZY7v8kuheBwXeASrdy9UREUlT/HbQvsnYdA1mCQ
xbtPaU4uq9/WBaNXLFrMJLas97g1GAxoX8gG2eIppvcwlPpXrYi8oEanY9BtRCq2
ZKwC2WtwRp98AMCEfjm+CIyuXcxPDAY2NiVz/4oAFdEw0/HPClRgtPuZhIUkeKLY
4MciKdYMSwJ7a2IlX/AKgsjzIRZRg1G8iwIDAQAB
-----END RSA PUBLIC KEY-----
";

/// Too small.
pub(super) const RSA_1024: &str = "\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDm3lWHHlZFG9ymFw39lG9BU5xS
7IAwH+mbE4jIZuc5vaz9B17Y45kJ9WlbRjfz72AwkEcsbo0J5EgirDstqihb+POn
3MChIRCSh7hod5fcKmtByFje4gWr7eKX5LT9mmcAVJhPS3mZDolQbbeQzNkrdFJF
Io/DQZ6Lvv1XWy9gSQIDAQAB
-----END PUBLIC KEY-----
";

/// P-256.
pub(super) const P256: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEIWsVaY2bNROC24MtBPf8i5PwovTD
GqeGT5AjvFIpcnMdrvuy8MsQxO3z578vDD544nv3OJwWyOLj/SY8M7fhbg==
-----END PUBLIC KEY-----
";

/// P-384.
pub(super) const P384: &str = "\
-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEVJRJD9SwhiMW6wXBs4OtHwdtNDDkli6j
XdRKV8uQrZ1Jzhi+QrWSjLps0GLG5VLip0jUGpETzueaa7obN9BLKO6ttwsKKWXS
TcrzUVqZNUD5c1Tb95HrULvgEalBiBTZ
-----END PUBLIC KEY-----
";

/// P-521, which no supported algorithm takes.
pub(super) const P521: &str = "\
-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAFBrp18R/wtNIlgn5T90lmj+z7fyr
WwfgfGy4A3WbJN+AFv3omz7E8KalPFaViFJTMJWyGKADnVRkzw8DCHnY2tgArOvh
g0cTS/mY4j+OH2cYD0zK+o8rZR2Z18dNtlo8YVet+fWhfY2IpOGbXubZ77dzfCJJ
7BabnawQpxtXzChzPN8=
-----END PUBLIC KEY-----
";

/// A curve whose points are as long as those of P-256.
pub(super) const SECP256K1: &str = "\
-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEaVccGEWb9eGjrQ9UKKX8IFztolbh9Y8f
rkI9Ebrgy1EbNWsJ59lQtpgKSaIccU0mrYFtwuko4+5R3DV1VO0TYQ==
-----END PUBLIC KEY-----
";

/// Ed25519.
pub(super) const ED25519: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAlVfbrxex5/jla2CkWhTDhaol3tpAgUaYzuYU0FB/C5A=
-----END PUBLIC KEY-----
";

/// A certificate with the P-256 key.
pub(super) const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBbTCCAROgAwIBAgIUI/WPEOcoc5Y0i5xQil5BG0ZlfCEwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAeFw0yNjExMjEwNTQxMjRaFw0zNjExMTgwNTQxMjRaMAwx
CjAIBgNVBAMMAXgwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQhaxVpjZs1E4Lb
gy0E9/yLk/Ci9MMap4ZPkCO8Uilycx2u+7LwyxDE7fPnvy8MPnjie/c4nBbI4uP9
Jjwzt+Fuo1MwUTAdBgNVHQ4EFgQUyG9o2NkRa/6Wxb/AyNCToTWbxUswHwYDVR0j
BBgwFoAUyG9o2NkRa/6Wxb/AyNCToTWbxUswDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNIADBFAiA/BsFffO/04+eJ4w89SjXLcYMda1fesmtiRqqBUVeLbwIh
ANq0ChkJwE5FfTK/WXusFACb2JdNzrUar1UEy0zt6Kj5
-----END CERTIFICATE-----
";
