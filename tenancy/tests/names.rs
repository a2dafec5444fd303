//! Everything that a program needs has a name in this crate, also where both frameworks are on.

use std::any::TypeId;

use tenancy::{actix, axum, http, postgres, usage};

#[test]
fn each_name_is_that_of_the_crate_it_comes_from() {
    let one = |facade: TypeId, own: TypeId| assert_eq!(facade, own);
    one(
        TypeId::of::<tenancy::TenantContext>(),
        TypeId::of::<tenancy_core::TenantContext>(),
    );
    one(
        TypeId::of::<axum::Tenant>(),
        TypeId::of::<tenancy_axum::Tenant>(),
    );
    one(
        TypeId::of::<actix::Tenant>(),
        TypeId::of::<tenancy_actix::Tenant>(),
    );
    one(
        TypeId::of::<http::Error>(),
        TypeId::of::<tenancy_http::Error>(),
    );
    one(
        TypeId::of::<postgres::TenantPool>(),
        TypeId::of::<tenancy_sqlx::TenantPool>(),
    );
}

/// The features reach the crates: `postgres` gives both frameworks their extractor of the database.
#[test]
fn each_feature_adds_what_it_says() {
    fn named<T>() {}
    named::<axum::TenantDb>();
    named::<actix::TenantDb>();
    named::<tenancy::jwt::JwtAuthenticator>();
    named::<tenancy::jwt::HttpJwksFetcher>();
    named::<tenancy::key::SecretHasher>();
    named::<tenancy::testing::FakeRequest>();
    named::<tenancy::outbox::Event>();
    named::<usage::UsageRecorder>();
    named::<axum::UsageLayer<axum::TenancyLayer>>();
    named::<actix::UsageMiddleware<actix::TenancyMiddleware>>();
    named::<postgres::PgUsage>();
    let refused = tenancy::danger::service("");
    assert!(refused.is_err(), "a reason is asked for");
}
