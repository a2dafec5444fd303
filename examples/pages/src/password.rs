//! Passwords, as the library hashes them: so many at once, so many attempts, and renewed where their cost has grown.

use tenancy::{
    PasswordError, PasswordVerdict, Passwords, Refusal,
    http::Error,
    key::{LowEntropySecret, SecretHash},
};

/// What is stored of a password that somebody has chosen.
pub(crate) async fn hash(passwords: &Passwords, chosen: String) -> Result<SecretHash, Error> {
    let secret = LowEntropySecret::new(chosen).map_err(Refusal::from)?;
    Ok(passwords.hash(secret).await.map_err(Refusal::from)?)
}

/// Whether a password is right; without a hash, for an account that there is not, it is the same work.
///
/// A program behind a proxy that it trusts gives the client's address too: see the engine's `client_ip`.
pub(crate) async fn verify(
    passwords: &Passwords,
    email: &str,
    stored: Option<&SecretHash>,
    typed: String,
) -> Result<PasswordVerdict, Error> {
    let Ok(secret) = LowEntropySecret::new(typed) else {
        return Ok(PasswordVerdict::Wrong);
    };
    match passwords.verify(email, None, stored, secret).await {
        // What was taken over from elsewhere, and is no hash of this kind, lets nobody in.
        Err(PasswordError::Stored) => Ok(PasswordVerdict::Wrong),
        verdict => Ok(verdict.map_err(Refusal::from)?),
    }
}
