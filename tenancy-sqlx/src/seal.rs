//! Sealed sessions, on the service's side: the key, and what a session is told with it.

mod opened;
mod start;

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::session::Scope;
pub(crate) use opened::Opened;
pub(crate) use start::{fault, take_up};

/// The key by which a service names tenants in a database whose sessions are
/// [sealed](crate::schema#sealed-sessions).
///
/// Give it to [`TenantPoolOptions::seal_key`](crate::TenantPoolOptions::seal_key),
/// [`PgDirectory::connect_sealed`](crate::PgDirectory::connect_sealed) and
/// [`RegistryPool::connect_sealed`](crate::RegistryPool::connect_sealed), and to
/// [`schema::seal_sessions`](crate::schema::seal_sessions) where it is made known to the database.
///
/// ```
/// use tenancy_sqlx::SealKey;
///
/// let digits = "8f".repeat(32); // from the service's secrets: `openssl rand -hex 32`
/// let key = SealKey::from_hex(1, &digits)?;
/// assert_eq!(key.id(), 1);
/// # Ok::<(), tenancy_sqlx::BadSealKey>(())
/// ```
///
/// # Security
/// Whoever has it and the service's login can read any tenant's rows, as the service can. It is never
/// sent to the database by a pool, and wiped from memory when it is dropped.
#[derive(Clone)]
pub struct SealKey {
    id: u16,
    secret: Zeroizing<Vec<u8>>,
    keyed: Hmac<Sha256>,
}

impl SealKey {
    /// A key of a number, by which it is retired, and of 32 random bytes or more.
    ///
    /// # Errors
    /// [`BadSealKey`] if it is shorter.
    pub fn new(id: u16, secret: &[u8]) -> Result<Self, BadSealKey> {
        if secret.len() < 32 {
            return Err(BadSealKey(Fault::Short(secret.len())));
        }
        let keyed = Hmac::new_from_slice(secret).map_err(|_| BadSealKey(Fault::Short(0)))?;
        Ok(Self {
            id,
            secret: Zeroizing::new(secret.to_vec()),
            keyed,
        })
    }

    /// A key whose bytes are written in hexadecimal digits.
    ///
    /// # Errors
    /// [`BadSealKey`] if these are no such digits, or too few.
    pub fn from_hex(id: u16, digits: &str) -> Result<Self, BadSealKey> {
        let mut secret = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
        let mut high = None;
        for (at, digit) in digits.chars().enumerate() {
            let value = digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok());
            let value = value.ok_or(BadSealKey(Fault::NoDigit(at)))?;
            match high.take() {
                None => high = Some(value),
                Some(high) => secret.push(high << 4 | value),
            }
        }
        if high.is_some() {
            return Err(BadSealKey(Fault::Odd));
        }
        Self::new(id, &secret)
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> u16 {
        self.id
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// The code over a text.
    fn code(&self, text: &str) -> [u8; 32] {
        let mut keyed = self.keyed.clone();
        keyed.update(text.as_bytes());
        keyed.finalize().into_bytes().into()
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Bytes that are no [`SealKey`]. Says nothing of what they are. `Debug` says the same as `Display`, for a
/// `main` that returns it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BadSealKey(Fault);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Short(usize),
    NoDigit(usize),
    Odd,
}

impl fmt::Display for BadSealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fault::Short(length) => write!(
                f,
                "a seal key has 32 random bytes or more, and this one has {length}; make one with \
                 `openssl rand -hex 32`"
            ),
            Fault::NoDigit(at) => write!(
                f,
                "a seal key is written in hexadecimal digits, and character {} is none",
                at + 1
            ),
            Fault::Odd => f.write_str(
                "a seal key is written in two hexadecimal digits a byte, and one is missing",
            ),
        }
    }
}

impl fmt::Debug for BadSealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for BadSealKey {}

/// How the sessions of a pool name tenants.
#[derive(Debug)]
pub(crate) struct Seal {
    key: SealKey,
    keeping: Keeping,
}

/// Where sessions keep whom they name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// In a parameter that the login can't set.
    Parameter,
    /// In a row.
    Row,
    /// On a standby, where no row is written: in a setting, with a code of the server's, for
    /// a minute.
    Setting,
}

impl Seal {
    pub(crate) const fn key_id(&self) -> u16 {
        self.key.id()
    }

    pub(crate) const fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// The statement that names a tenant in a session, which takes it once.
    fn enter_sql(&self, challenge: &str, counter: i64, scope: Scope, expires: i64) -> String {
        let tenant = scope.tenant.as_uuid();
        let project = scope
            .project
            .map(|project| project.as_uuid().simple().to_string());
        let project = project.unwrap_or_default();
        let text = format!(
            "tenancy seal 1,{challenge},{counter},{},{project},{expires}",
            tenant.simple()
        );
        let mut code = String::with_capacity(64);
        for byte in self.key.code(&text) {
            use fmt::Write as _;
            let _ = write!(code, "{byte:02x}");
        }
        format!(
            "SELECT tenancy_seal.enter('{challenge}', {counter}, '{tenant}', \
             NULLIF('{project}', '')::uuid, {expires}, {}, pg_catalog.decode('{code}', 'hex'))",
            self.key.id
        )
    }
}

#[cfg(test)]
mod tests {
    use tenancy_core::{ProjectId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn seal() -> Seal {
        Seal {
            key: SealKey::from_hex(7, &"0b".repeat(32)).unwrap(),
            keeping: Keeping::Parameter,
        }
    }

    #[test]
    fn bad_keys_are_named_and_not_shown() {
        let said = |made: Result<SealKey, BadSealKey>| made.unwrap_err().to_string();
        assert!(said(SealKey::new(1, &[7; 31])).contains("this one has 31"));
        assert!(said(SealKey::from_hex(1, &"0b".repeat(31))).contains("this one has 31"));
        assert!(said(SealKey::from_hex(1, &"0".repeat(65))).contains("one is missing"));
        assert!(said(SealKey::from_hex(1, "0g")).contains("character 2"));
        let key = SealKey::new(1, b"a secret of thirty-two characters").unwrap();
        assert_eq!(format!("{key:?}"), "SealKey { id: 1, .. }");
    }

    #[test]
    fn the_code_is_that_of_rfc_4231() {
        // Test case 6: a key of 131 bytes, which HMAC takes by its digest.
        let key = SealKey::new(1, &[0xaa; 131]).unwrap();
        let code = key.code("Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(code[..4], [0x60, 0xe4, 0x31, 0x59]);
        assert_eq!(code[28..], [0x0e, 0xe3, 0x7f, 0x54]);
    }

    #[test]
    fn a_seal_is_over_all_that_it_says() {
        let (tenant, project) = (
            TenantId::from_uuid(Uuid::from_u128(1)),
            ProjectId::from_uuid(Uuid::from_u128(2)),
        );
        let scope = Scope {
            tenant,
            project: None,
        };
        let within = Scope {
            project: Some(project),
            ..scope
        };
        let other = Scope {
            tenant: TenantId::from_uuid(Uuid::from_u128(2)),
            ..scope
        };
        let code = |challenge, counter, scope, expires| {
            let sql = seal().enter_sql(challenge, counter, scope, expires);
            sql.split("decode(").nth(1).unwrap().to_owned()
        };
        let one = code("c", 1, scope, 5);
        for another in [
            code("d", 1, scope, 5),
            code("c", 2, scope, 5),
            code("c", 1, within, 5),
            code("c", 1, other, 5),
            code("c", 1, scope, 6),
        ] {
            assert_ne!(one, another);
        }
    }
}
