//! Public keys in PEM text (RFC 7468), read strictly: one block, one known kind of key.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    algorithm::KeyKind,
    error::{KeyError, KeyErrorKind as Kind},
    rsa,
};

/// `SubjectPublicKeyInfo` of an uncompressed point on P-256, up to the point (RFC 5480 §2).
const P256: [u8; 26] = *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The same for P-384.
const P384: [u8; 23] = *b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
/// `SubjectPublicKeyInfo` of an Ed25519 key, up to its 32 bytes (RFC 8410 §4).
const ED25519: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// A public key as it stood in a PEM text.
pub(super) struct PublicKey {
    pub(super) kind: KeyKind,
    /// `RSAPublicKey` for RSA, the bare point for the curves.
    pub(super) bytes: Vec<u8>,
}

/// Reads one `PUBLIC KEY` or `RSA PUBLIC KEY` block.
pub(super) fn from_pem(pem: &[u8]) -> Result<PublicKey, KeyError> {
    let text = std::str::from_utf8(pem).map_err(|_| malformed())?.trim();
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyError::new(
            Kind::PrivateKey,
            "the PEM text holds a private key, which a verifier must not have; \
             extract the public key with `openssl pkey -in key.pem -pubout`",
        ));
    }
    let (label, body) = text
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"))
        .ok_or_else(malformed)?;
    if !matches!(label, "PUBLIC KEY" | "RSA PUBLIC KEY") {
        let label: String = label.chars().take(64).collect();
        return Err(KeyError::new(
            Kind::NotPublicKey,
            format!(
                "the PEM text holds a `{label}`, not a `PUBLIC KEY`; from a certificate, extract \
                 it with `openssl x509 -in cert.pem -noout -pubkey`"
            ),
        ));
    }
    let body = body
        .strip_suffix("-----")
        .and_then(|body| body.strip_suffix(label))
        .and_then(|body| body.strip_suffix("-----END "))
        .ok_or_else(malformed)?;
    let base64: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(base64).map_err(|_| malformed())?;
    if label == "RSA PUBLIC KEY" {
        return Ok(PublicKey {
            kind: KeyKind::Rsa,
            bytes: der,
        });
    }
    from_der(der)
}

fn from_der(der: Vec<u8>) -> Result<PublicKey, KeyError> {
    let curves = [
        (KeyKind::P256, P256.as_slice(), 65),
        (KeyKind::P384, P384.as_slice(), 97),
        (KeyKind::Ed25519, ED25519.as_slice(), 32),
    ];
    for (kind, prefix, len) in curves {
        if let Some(point) = der.strip_prefix(prefix) {
            // An uncompressed point starts with 4 (SEC 1 §2.3.3).
            let whole =
                point.len() == len && (kind == KeyKind::Ed25519 || point.first() == Some(&4));
            if !whole {
                return Err(malformed());
            }
            return Ok(PublicKey {
                kind,
                bytes: point.to_vec(),
            });
        }
    }
    if let Some(key) = rsa::from_spki(&der) {
        return Ok(PublicKey {
            kind: KeyKind::Rsa,
            bytes: key.to_vec(),
        });
    }
    Err(KeyError::new(
        Kind::WrongKind,
        "the key is none of RSA, P-256, P-384 (both with an uncompressed point) and Ed25519",
    ))
}

fn malformed() -> KeyError {
    KeyError::new(
        Kind::Malformed,
        "the key can't be read; expected one block from `-----BEGIN PUBLIC KEY-----` \
         to `-----END PUBLIC KEY-----`",
    )
}
