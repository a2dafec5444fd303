//! The access matrix that memory is held to, over PostgreSQL.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../../../tenancy-core/tests/admission/access/matrix.rs"]
mod matrix;

use std::sync::Arc;

use tenancy_core::{
    Clock as _, ImpersonationPolicy, ManualClock, Operators,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, Pepper},
};
use tenancy_sqlx::PgAuditSink;
use tenancy_tests::{
    logwatch,
    notes::{self, PEPPER, on_every_server},
};

use self::matrix::{Stand, matrix, permissions};
use crate::world::{STAFF, STAFF_SECRET, staff_token};

const GOLDEN: &str = include_str!("../../../tenancy-core/tests/admission/access.golden");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_answers_what_is_written_down() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        logwatch::issued(STAFF_SECRET);
        let clock = Arc::new(ManualClock::now_frozen());
        let key = VerificationKey::hmac(Algorithm::HS256, STAFF_SECRET)?;
        let staff = JwtAuthenticator::builder(STAFF, "console").key(key);
        let policy = ImpersonationPolicy::new(Pepper::new(1, PEPPER)?).at_once(50);
        let operators = Operators::new(notes.directory.clone())
            .authenticator(staff.build()?)
            .impersonation(policy);
        let format = KeyFormat::new("notes", Environment::Live)?;
        let hasher = HmacKeyHasher::new(Pepper::new(1, PEPPER)?);
        let keys = ApiKeys::new(format, hasher, notes.directory.clone());
        let tenancy = notes::builder(notes.directory.clone())?
            .permissions(permissions())
            .established_principals()
            .operators(operators)
            .keys(keys)
            .audit(PgAuditSink::new(&notes.system))
            .clock(clock.clone())
            .build()?;
        let stand = Stand {
            tenancy,
            acme: (notes.acme.id, notes.alice),
            globex: (notes.globex.id, notes.bob),
            token: Box::new(|user| notes::token(user).unwrap()),
            staff: (
                STAFF,
                Box::new(move |user| staff_token(user, clock.now()).unwrap()),
            ),
            issued: logwatch::issued_key,
        };
        let found = matrix(&stand, &notes.directory).await;
        for (number, (line, wanted)) in found.lines().zip(GOLDEN.lines()).enumerate() {
            assert_eq!(line, wanted, "line {} of access.golden", number + 1);
        }
        assert_eq!(found.lines().count(), GOLDEN.lines().count());
        Ok(())
    })
    .await
}
