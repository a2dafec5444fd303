//! Sessions of the application's own: what a cookie says, and whom a middleware has established.

use std::{sync::Arc, time::Duration};

use tenancy_core::{
    Actor, AllowedTenants, Authenticator, Clock as _, Credential, CredentialSource,
    EstablishedPrincipal, LookupError, Principal, Rejection, SystemClock, Timestamp, UserId,
    Verdict, async_trait,
};

pub(crate) const COOKIE: &str = "__Host-session";

/// The field in which the application's own middleware finds who is signed in. In a real application
/// that is a session store, and no caller can write it.
pub(crate) const APPLICATION: &str = "x-signed-in";

/// Where the proxy writes the subject of a client certificate.
pub(crate) const CERTIFICATE: &str = "x-client-subject";

/// What a session of a user looks like.
pub(crate) fn text(user: UserId, ended: bool) -> String {
    format!("{}.{user}", if ended { "ended" } else { "open" })
}

/// The application's sessions.
#[derive(Debug, Clone)]
pub(crate) struct Sessions;

#[async_trait]
impl Authenticator for Sessions {
    fn sources(&self) -> Vec<CredentialSource> {
        vec![CredentialSource::cookie(COOKIE)]
    }

    fn probe(&self, _: Credential<'_>, _: Timestamp) -> Verdict {
        Verdict::NeedsLookup
    }

    async fn verify(&self, it: Credential<'_>, now: Timestamp) -> Result<Verdict, LookupError> {
        let reject = |reason| Ok(Verdict::Rejected(Rejection::new(reason)));
        let Some((state, user)) = it.expose().split_once('.') else {
            return reject("session-malformed");
        };
        let Ok(user) = user.parse::<UserId>() else {
            return reject("session-unknown");
        };
        if state != "open" {
            return reject("session-ended");
        }
        let mut principal =
            Principal::new(Actor::User(user), AllowedTenants::Memberships, "sessions");
        principal.issued_at = Some(now);
        Ok(Verdict::Verified(Arc::new(principal)))
    }
}

/// Whom the application's own middleware puts into the extensions of a request.
pub(crate) fn established(field: Option<&[u8]>) -> Option<EstablishedPrincipal> {
    let user = std::str::from_utf8(field?).ok()?.parse().ok()?;
    let yesterday = SystemClock.now() - Duration::from_secs(24 * 3_600);
    Some(EstablishedPrincipal::user(user, yesterday, "middleware"))
}
