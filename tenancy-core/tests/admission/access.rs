//! The access matrix: what each role may do in each place, by each kind of credential, and what each operator does. It
//! stands in `access.golden`, and `tests/tests/operators` holds PostgreSQL to it too.
//!
//! `UPDATE_GOLDEN=1` writes the file anew; read the difference before you commit it.

mod matrix;

use serde_json::json;
use tenancy_core::{ImpersonationPolicy, Operators, key::Pepper};

use self::matrix::{Stand, matrix, permissions};
use crate::{
    keys::with_keys,
    operators::{STAFF, staff_tokens},
    support::World,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/admission/access.golden");

#[tokio::test]
async fn each_role_may_do_in_each_place_what_is_written_down() {
    let w = World::over(|directory, builder| {
        let policy = ImpersonationPolicy::new(Pepper::new(1, [0x5c; 32]).unwrap()).at_once(50);
        let operators = Operators::new(directory.directory().clone())
            .authenticator(staff_tokens())
            .impersonation(policy);
        with_keys(directory, builder)
            .permissions(permissions())
            .established_principals()
            .operators(operators)
    })
    .await;
    let now = w.clock_now().as_unix_seconds();
    let sign = move |issuer: &str, audience: &str, user: tenancy_core::UserId| {
        crate::support::sign(&json!({
            "iss": issuer, "aud": audience, "sub": user.to_string(), "exp": now + 3600, "iat": now,
        }))
    };
    let stand = Stand {
        tenancy: w.tenancy.clone(),
        acme: (w.acme.id, w.alice),
        globex: (w.globex.id, w.bob),
        token: Box::new(move |user| sign(crate::support::ISSUER, "notes", user)),
        staff: (STAFF, Box::new(move |user| sign(STAFF, "console", user))),
        issued: tenancy_logwatch::issued_key,
    };
    let matrix = matrix(&stand, &w.directory).await;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &matrix).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    for (number, (line, wanted)) in matrix.lines().zip(golden.lines()).enumerate() {
        assert_eq!(line, wanted, "line {} of access.golden", number + 1);
    }
    assert_eq!(matrix.lines().count(), golden.lines().count());
}
