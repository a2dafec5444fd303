//! Addresses of e-mail: read strictly, brought into one form, and verified ones as a type of their own.

use std::{fmt, str::FromStr};

use crate::{Claims, DomainName};

/// An address of e-mail in the one form in which addresses are compared.
///
/// * There is one `@`. In front of it stand 1 to 64 letters, digits and `` !#$%&'*+-/=?^_`{|}~. `` of ASCII, with no dot
///   at an end and no two in a row. What would have to be quoted (spaces, a second `@`) is refused.
/// * Behind it stands a domain, as [`DomainName`] reads it: an international name in its `xn--` form.
/// * All of it is lower case, and has 254 bytes at most.
///
/// Letters that are not ASCII are refused in front of the `@`: some look like others, so that two people would read one
/// address. Dots and what follows a `+` stay: at most providers these are other mailboxes.
///
/// ```
/// use tenancy_core::EmailAddress;
///
/// let ann: EmailAddress = "Ann.Lee+work@Bücher.Example".parse()?;
/// assert_eq!(ann.as_str(), "ann.lee+work@xn--bcher-kva.example");
/// assert_eq!(ann.masked(), "a…@xn--bcher-kva.example");
/// assert_ne!(ann, "annlee@xn--bcher-kva.example".parse()?);
/// // The first letter is Cyrillic.
/// assert!("аnn@example.org".parse::<EmailAddress>().is_err());
/// # Ok::<(), tenancy_core::InvalidEmail>(())
/// ```
///
/// `Debug` shows the [masked](Self::masked) form: an address is personal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(Box<str>);

/// A text that is not an [`EmailAddress`]. Does not repeat it, because it is personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no address of e-mail that can be used; write it as in `ann.lee@example.org`, with ASCII letters in front \
     of the `@`, without quotes, and in {} bytes at most",
    EmailAddress::MAX_LEN
)]
pub struct InvalidEmail(());

impl EmailAddress {
    /// The longest address, in bytes (RFC 5321 §4.5.3.1.3, without the angle brackets).
    pub const MAX_LEN: usize = 254;

    /// The longest part in front of the `@`, in bytes.
    const MAX_LOCAL_LEN: usize = 64;

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// What may be shown to whoever has a link and has not shown whose address it is: the first character and the
    /// domain.
    #[must_use]
    pub fn masked(&self) -> String {
        let first = self.0.chars().next().unwrap_or('…');
        format!("{first}…@{}", self.domain())
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = InvalidEmail(());
        // What is much longer is not looked at.
        if text.len() > Self::MAX_LEN {
            return Err(invalid);
        }
        let (local, domain) = text.split_once('@').ok_or(invalid)?;
        let is_local = (1..=Self::MAX_LOCAL_LEN).contains(&local.len())
            && local.split('.').all(is_atom)
            && !domain.ends_with('.');
        let domain: DomainName = domain.parse().map_err(|_| invalid)?;
        let whole = format!("{}@{}", local.to_ascii_lowercase(), domain.as_str());
        // The `xn--` form may be longer than what was written.
        if !is_local || whole.len() > Self::MAX_LEN {
            return Err(invalid);
        }
        Ok(Self(whole.into()))
    }
}

/// Whether it is an atom (RFC 5322 §3.2.3).
fn is_atom(text: &str) -> bool {
    let stands = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    !text.is_empty() && text.bytes().all(stands)
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress({})", self.masked())
    }
}

/// An address of which somebody vouches that the user in question reads what is sent there.
///
/// Whoever has one may become a member by it. So there are two ways to make one, and each says who vouches.
///
/// ```
/// use tenancy_core::{Claims, VerifiedEmail};
///
/// let verified = Claims::from(serde_json::json!({ "email": "Ann@Example.org", "email_verified": true }));
/// assert_eq!(VerifiedEmail::from_claims(&verified).unwrap().address().as_str(), "ann@example.org");
/// for not_verified in [
///     serde_json::json!({ "email": "ann@example.org" }),
///     serde_json::json!({ "email": "ann@example.org", "email_verified": "false" }),
/// ] {
///     assert!(VerifiedEmail::from_claims(&Claims::from(not_verified)).is_none());
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEmail(EmailAddress);

impl VerifiedEmail {
    /// An address that the application has verified itself: the user has followed a link that was sent there.
    ///
    /// ```
    /// use tenancy_core::{EmailAddress, VerifiedEmail};
    ///
    /// struct Account {
    ///     email: EmailAddress,
    ///     has_followed_the_link: bool,
    /// }
    ///
    /// fn verified(account: &Account) -> Option<VerifiedEmail> {
    ///     let email = account.email.clone();
    ///     account.has_followed_the_link.then(|| VerifiedEmail::vouched_by_application(email))
    /// }
    /// # let _ = verified;
    /// ```
    ///
    /// # Security
    /// Whoever calls this vouches for it. What a user has merely typed is not verified: with it, anybody who finds an
    /// invitation's link could take it.
    #[must_use]
    pub const fn vouched_by_application(address: EmailAddress) -> Self {
        Self(address)
    }

    /// The address in a verified token's claims, if the issuer says that it has verified it: `email`, and
    /// `email_verified` with the value `true`. A text such as `"true"` is none.
    ///
    /// # Security
    /// The issuer vouches. Take the claims of an issuer that verifies addresses, and not those of an issuer that a
    /// tenant has brought along: that tenant could write any address into them.
    #[must_use]
    pub fn from_claims(claims: &Claims) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Email {
            email: String,
            email_verified: bool,
        }
        let claimed: Email = claims.parse().ok()?;
        let address = claimed.email.parse().ok()?;
        claimed.email_verified.then_some(Self(address))
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> &EmailAddress {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let email: Option<EmailAddress> = text.parse().ok();
        email.map(|email| email.to_string())
    }

    #[test]
    fn case_is_folded_and_nothing_else() {
        let ann = Some("ann.lee@example.org".to_owned());
        assert_eq!(read("Ann.Lee@Example.ORG"), ann);
        for other in [
            "annlee@example.org",
            "ann.lee+x@example.org",
            "ann.lee@example.com",
        ] {
            assert_ne!(read(other), ann);
            assert_eq!(read(other).as_deref(), Some(other));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long = format!("a@{}.org", "b.".repeat(150));
        let huge = "a".repeat(1 << 20);
        for bad in [
            "",
            "@",
            "ann",
            "ann@",
            "@example.org",
            "ann@@example.org",
            "ann@b@example.org",
            "ann lee@example.org",
            " ann@example.org",
            "ann@example.org ",
            "ann@example.org\n",
            "ann\0@example.org",
            "\"ann\"@example.org",
            ".ann@example.org",
            "ann.@example.org",
            "an..n@example.org",
            "ann@localhost",
            "ann@example",
            "ann@127.0.0.1",
            "ann@[127.0.0.1]",
            "ann@example.org.",
            "ann@-example.org",
            "ann@exa mple.org",
            "ann,bob@example.org",
            "<ann@example.org>",
            "аnn@example.org",
            "ann\u{200b}@example.org",
            "ａnn@example.org",
            &long_local,
            &long,
            &huge,
        ] {
            assert_eq!(
                read(bad),
                None,
                "{:?}",
                bad.chars().take(40).collect::<String>()
            );
        }
    }

    #[test]
    fn domains_that_look_alike_stay_two() {
        // The second begins with a Cyrillic letter.
        let (latin, cyrillic) = (read("ann@apple.example"), read("ann@аpple.example"));
        assert!(latin.is_some() && cyrillic.is_some());
        assert_ne!(latin, cyrillic);
        assert!(cyrillic.is_some_and(|text| text.contains("@xn--")));
    }

    #[test]
    fn debug_shows_no_address() {
        let ann: EmailAddress = "ann.lee@example.org".parse().unwrap();
        let verified = VerifiedEmail::vouched_by_application(ann.clone());
        for shown in [format!("{ann:?}"), format!("{verified:?}")] {
            assert!(
                !shown.contains("ann.lee") && shown.contains("a…@example.org"),
                "{shown}"
            );
        }
        let wrong = "secret@@example.org".parse::<EmailAddress>().unwrap_err();
        assert!(!wrong.to_string().contains("secret"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_is_read_again_alike(text in "\\PC{0,30}@\\PC{0,30}") {
            if let Ok(email) = text.parse::<EmailAddress>() {
                let again: Result<EmailAddress, _> = email.as_str().parse();
                proptest::prop_assert_eq!(again.ok(), Some(email));
            }
        }
    }
}
