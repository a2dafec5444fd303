//! Passwords: hashed by Argon2id, away from the threads that serve requests.

use std::sync::LazyLock;

use argon2::{
    Argon2, PasswordHasher as _, PasswordVerifier as _,
    password_hash::{Error, phc::PasswordHash},
};
use tenancy::http::Error as Failure;

/// Takes the place of a hash where there is no account, so that the answer takes as long.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hashed(b"nobody's").unwrap_or_default());

fn hashed(password: &[u8]) -> Result<String, Error> {
    Ok(Argon2::default().hash_password(password)?.to_string())
}

pub(crate) async fn hash(password: String) -> Result<String, Failure> {
    aside(move || hashed(password.as_bytes()))
        .await?
        .map_err(Failure::internal)
}

/// Whether the password is right; `None` stands for an account that there is not.
pub(crate) async fn is_right(password: String, hash: Option<String>) -> Result<bool, Failure> {
    aside(move || {
        let text = hash.as_deref().unwrap_or(&NOBODYS);
        let Ok(expected) = PasswordHash::new(text) else {
            return false;
        };
        let verified = Argon2::default().verify_password(password.as_bytes(), &expected);
        verified.is_ok() && hash.is_some()
    })
    .await
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Failure::internal)
}
