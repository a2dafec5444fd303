//! Who somebody is at an identity provider.

/// The longest issuer and the longest subject, in bytes.
const MAX: usize = 512;

/// Somebody at an identity provider: the issuer of tokens, and the subject that it knows them by (OpenID Connect Core, 2).
///
/// Both are compared byte for byte.
///
/// ```
/// use tenancy_core::ExternalSubject;
///
/// let alice = ExternalSubject::new("https://login.example.com", "248289761001")?;
/// assert_eq!(alice.subject(), "248289761001");
/// assert!(ExternalSubject::new("https://login.example.com", "").is_err());
/// # Ok::<(), tenancy_core::InvalidSubject>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalSubject {
    issuer: Box<str>,
    subject: Box<str>,
}

/// What is no [`ExternalSubject`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an issuer and a subject have 1 to {MAX} bytes each, and no control characters")]
#[non_exhaustive]
pub struct InvalidSubject;

impl ExternalSubject {
    /// Somebody at an issuer.
    ///
    /// # Errors
    /// [`InvalidSubject`] if one of them is empty, has more than 512 bytes or a control character.
    ///
    /// # Security
    /// Take both from a token that was verified.
    pub fn new(
        issuer: impl Into<Box<str>>,
        subject: impl Into<Box<str>>,
    ) -> Result<Self, InvalidSubject> {
        let (issuer, subject) = (issuer.into(), subject.into());
        let fits =
            |text: &str| (1..=MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits(&issuer) && fits(&subject) {
            Ok(Self { issuer, subject })
        } else {
            Err(InvalidSubject)
        }
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}
