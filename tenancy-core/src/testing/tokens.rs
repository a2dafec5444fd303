//! An issuer of tokens, and the authenticator that believes it.
#![allow(
    clippy::expect_used,
    reason = "a test kit fails by panicking, like any test"
)]

use std::{fmt, time::Duration};

use serde_json::{Value, json};

use crate::{
    Clock as _, SystemClock, UserId,
    jwt::{Algorithm, JwtAuthenticator, JwtAuthenticatorBuilder, SigningKey, VerificationKey},
};

/// An issuer of tokens for a test, with a secret of its own: each value accepts its own tokens and no other's.
///
/// ```
/// use tenancy_core::{Identification, MemoryDirectory, SystemRole, Tenancy};
/// use tenancy_core::testing::{FakeRequest, TestTenant, TestTokens};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = TestTokens::new("notes");
/// let tenancy = Tenancy::builder(MemoryDirectory::new())
///     .identification(Identification::new().subdomains_of("notes.example"))
///     .authenticator(tokens.verifier().build()?)
///     .build()?;
/// let acme = TestTenant::create(&tenancy, "acme").await?;
/// let alice = acme.member(SystemRole::Viewer).await?;
/// let request = FakeRequest::new("/")
///     .header("host", "acme.notes.example")
///     .bearer(&tokens.sign(alice));
/// # let admission = tenancy.admit(&request, tenancy_core::RouteNeeds::tenant());
/// # let tenancy_core::Admission::Pending(pending) = admission else { panic!() };
/// # pending.resolve().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TestTokens {
    audience: String,
    secret: [u8; 32],
}

impl TestTokens {
    /// The `iss` of the tokens.
    pub const ISSUER: &'static str = "https://issuer.test";

    /// How long a token holds: an hour.
    pub const LIFETIME: Duration = Duration::from_secs(60 * 60);

    /// An issuer of tokens for this `aud`, with a new secret.
    ///
    /// # Panics
    /// If the operating system has no randomness.
    #[must_use]
    pub fn new(audience: impl Into<String>) -> Self {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("randomness");
        Self {
            audience: audience.into(),
            secret,
        }
    }

    /// Starts the authenticator that accepts these tokens, for [`TenancyBuilder::authenticator`].
    ///
    /// [`TenancyBuilder::authenticator`]: crate::TenancyBuilder::authenticator
    ///
    /// # Panics
    /// Never: the secret has the length that the algorithm asks for.
    pub fn verifier(&self) -> JwtAuthenticatorBuilder {
        let key = VerificationKey::hmac(Algorithm::HS256, self.secret).expect("32 bytes");
        JwtAuthenticator::builder(Self::ISSUER, self.audience.clone()).key(key)
    }

    /// A token of a user, issued now.
    #[must_use]
    pub fn sign(&self, user: UserId) -> String {
        self.sign_with(user, &json!({}))
    }

    /// The same with further claims, such as `{"tenant": "acme"}`. A claim that the token has anyway, `exp` say, is
    /// replaced.
    ///
    /// # Panics
    /// If the claims are no JSON object.
    #[must_use]
    pub fn sign_with(&self, user: UserId, claims: &Value) -> String {
        let now = SystemClock.now();
        let mut all = json!({
            "iss": Self::ISSUER, "aud": self.audience, "sub": user, "iat": now.as_unix_seconds(),
            "exp": (now + Self::LIFETIME).as_unix_seconds(),
        });
        let more = claims.as_object().expect("claims are a JSON object");
        if let Some(all) = all.as_object_mut() {
            all.extend(more.clone());
        }
        let key = SigningKey::hmac(Algorithm::HS256, self.secret).expect("32 bytes");
        let token = key.token(&json!({ "typ": "JWT", "alg": "HS256" }), &all);
        token.expect("a backend that signs")
    }
}

impl fmt::Debug for TestTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestTokens")
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
