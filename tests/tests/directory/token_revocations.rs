//! Tokens that one process takes back, as the others find out: by the notification, by polling, and in
//! strict mode in the round trip of BEGIN. The clock stands still unless it is moved.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_core::{
    Clock, GenerationFeed as _, ManualClock, RefusalKind, RevokedBefore, ServiceId, Tenancy,
    Timestamp, TokenRevocationDirectory as _, TokenSubject,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
};
use tenancy_sqlx::{ChangeListener, ErrorKind, PgDirectory, TenantPoolOptions};
use tenancy_tests::{
    Server, Version,
    notes::{self, AUDIENCE, ISSUER, Notes, SECRET, on_every_server, sqlstate},
};

use crate::{admit_token, token_of};

/// An issuer whose name would end a literal of SQL.
const BRIEN: &str = "https://login.example/o'brien'); --\\ü";

fn brien() -> anyhow::Result<JwtAuthenticator> {
    let key = VerificationKey::hmac(Algorithm::HS256, SECRET)?;
    Ok(JwtAuthenticator::builder(BRIEN, AUDIENCE)
        .key(key)
        .build()?)
}

async fn another_process(notes: &Notes, clock: Arc<dyn Clock>) -> anyhow::Result<Tenancy> {
    let directory = PgDirectory::connect_with(notes.app_options(), 2).await?;
    let builder = notes::builder(directory)?.authenticator(brien()?);
    let token = token_of(ISSUER, notes.alice, clock.now())?;
    let other = builder.clock(clock).build()?;
    for _ in 0..2 {
        admit_token(&other, &token, "acme").await?;
    }
    Ok(other)
}

async fn revoke(notes: &Notes, of: &TokenSubject) -> anyhow::Result<()> {
    Ok(notes
        .tenancy
        .admin(tenancy_core::testing::service())
        .revoke_tokens(of)
        .await?)
}

#[tokio::test]
async fn strict_mode_does_not_begin_for_a_token_that_another_process_took_back()
-> anyhow::Result<()> {
    for server in Server::all().await? {
        let clock = Arc::new(ManualClock::now_frozen());
        let notes = Notes::start_with(&server, clock.clone(), |builder| builder).await?;
        let cases = [
            (ISSUER, TokenSubject::User(notes.alice)),
            (ISSUER, TokenSubject::Issuer(ISSUER.into())),
            (ISSUER, TokenSubject::Tenant(notes.acme.id)),
            (BRIEN, TokenSubject::Issuer(BRIEN.into())),
        ];
        for (issuer, of) in cases {
            let other = another_process(&notes, clock.clone()).await?;
            let pool = TenantPoolOptions::new().max_connections(1).strict(true);
            let pool = pool.connect_with(notes.app_options(), &other).await?;
            let token = token_of(issuer, notes.alice, clock.now())?;
            let context = admit_token(&other, &token, "acme").await?;
            pool.begin(&context).await?.commit().await?;
            // Somebody else's token revocation concerns nobody else.
            revoke(&notes, &TokenSubject::User(notes.bob)).await?;
            revoke(&notes, &TokenSubject::Tenant(notes.globex.id)).await?;
            pool.begin(&context).await?.commit().await?;

            revoke(&notes, &of).await?;
            let admitted = admit_token(&other, &token, "acme").await;
            assert!(admitted.is_ok(), "{of}: nothing has been heard yet");
            let refused = pool.begin(&context).await.map(drop).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::TenantChanged, "{of}");
            // Now this process asks before it admits.
            let refused = admit_token(&other, &token, "acme").await.unwrap_err();
            assert_eq!(refused.reason(), "token-revoked", "{of}");
            clock.advance(Duration::from_secs(1));
            let token = token_of(issuer, notes.alice, clock.now())?;
            let anew = admit_token(&other, &token, "acme").await?;
            pool.begin(&anew).await?.commit().await?;
            pool.close().await;
        }
        notes.database.close().await?;
    }
    Ok(())
}

/// Where backslashes in literals are escapes, as in old databases.
#[tokio::test]
async fn strict_mode_finds_an_issuers_epoch_whatever_a_backslash_means() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let clock = Arc::new(ManualClock::now_frozen());
    let notes = Notes::start_with(&server, clock.clone(), |builder| builder).await?;
    let lenient = notes.app_options().options([
        ("standard_conforming_strings", "off"),
        ("escape_string_warning", "off"),
    ]);
    let other = another_process(&notes, clock.clone()).await?;
    let pool = TenantPoolOptions::new().max_connections(1).strict(true);
    let pool = pool.connect_with(lenient, &other).await?;
    for issuer in [ISSUER, BRIEN] {
        let token = token_of(issuer, notes.alice, clock.now())?;
        let context = admit_token(&other, &token, "acme").await?;
        pool.begin(&context).await?.commit().await?;
        revoke(&notes, &TokenSubject::Issuer(issuer.into())).await?;
        let refused = pool.begin(&context).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TenantChanged, "{issuer}");
    }
    pool.close().await;
    notes.database.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_revocation_is_heard_at_once_and_found_by_polling_all_the_same() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let clock = Arc::new(ManualClock::now_frozen());
    let notes = Notes::start_with(&server, clock.clone(), |builder| builder).await?;
    let deaf = another_process(&notes, clock.clone()).await?;
    let other = another_process(&notes, clock.clone()).await?;
    let _listening = ChangeListener::connect_with(notes.app_options(), &other).await?;
    let token = token_of(ISSUER, notes.alice, clock.now())?;
    admit_token(&deaf, &token, "acme").await?;

    revoke(&notes, &TokenSubject::User(notes.alice)).await?;
    let deadline = Instant::now() + Duration::from_secs(20);
    let heard = loop {
        match admit_token(&other, &token, "acme").await {
            Err(refusal) => break refusal,
            Ok(_) => anyhow::ensure!(Instant::now() < deadline, "nothing is heard"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert_eq!(heard.kind(), RefusalKind::Unauthenticated);
    admit_token(&deaf, &token, "acme").await?;
    clock.advance(deaf.max_staleness() + Duration::from_millis(1));
    let found = admit_token(&deaf, &token, "acme").await.unwrap_err();
    assert_eq!(found.reason(), "token-revoked");
    notes.database.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_token_revocation_that_commits_late_is_told() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let service = TokenSubject::Service(ServiceId::new());
        let start = notes.directory.changes_since(None).await?;
        let mut late = notes.database.admin().await?;
        let raise = format!(
            "BEGIN; INSERT INTO tenancy.token_epochs (kind, subject, valid_after)
             VALUES ('service', '{}', to_timestamp(1700000000))",
            service.subject()
        );
        late.execute(AssertSqlSafe(raise)).await?;
        let other = TokenSubject::User(notes.bob);
        revoke(notes, &other).await?;
        let first = notes.directory.changes_since(Some(start.cursor)).await?;
        let of = |page: &tenancy_core::FeedPage, of| {
            page.token_revocations
                .iter()
                .find(|(about, _)| about == of)
                .cloned()
        };
        assert!(of(&first, &other).is_some());
        assert_eq!(of(&first, &service), None);

        late.execute("COMMIT").await?;
        let second = notes.directory.changes_since(Some(first.cursor)).await?;
        let revoked_before =
            RevokedBefore::from_timestamp(Timestamp::from_unix_seconds(1_700_000_000));
        assert_eq!(
            of(&second, &service),
            Some((service.clone(), revoked_before))
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_services_login_asks_for_epochs_and_changes_none() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        revoke(notes, &TokenSubject::User(notes.bob)).await?;
        let rows = "SELECT count(*) FROM tenancy.token_epochs";
        let mut admin = notes.database.admin().await?;
        let stored: i64 = sqlx::query_scalar(rows).fetch_one(&mut admin).await?;
        assert_eq!(stored, 1);
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        for statement in [
            rows,
            "DELETE FROM tenancy.token_epochs",
            "UPDATE tenancy.token_epochs SET valid_after = to_timestamp(0)",
            "INSERT INTO tenancy.token_epochs (kind, subject, valid_after)
             VALUES ('issuer', 'i', now())",
            "TRUNCATE tenancy.token_epochs",
        ] {
            let refused = db.execute(statement).await;
            assert_eq!(sqlstate(refused), "42501", "{statement}");
        }
        let reading = PgDirectory::connect_with(notes.app_options(), 1).await?;
        let revoked_before = reading
            .find_token_revocation(&[TokenSubject::User(notes.bob)])
            .await?;
        assert!(revoked_before > RevokedBefore::NONE);
        // And what nobody can read as a token revocation is not stored, whoever tries.
        let good = "0192d3a4-7b00-7c3d-8e4f-5a6b7c8d9e0f";
        for (kind, subject, first) in [
            ("user", good, "now()"),
            ("planet", "mars", "now()"),
            ("user", "alice", "now()"),
            ("user", "0192D3A4-7B00-7C3D-8E4F-5A6B7C8D9E0F", "now()"),
            ("issuer", "", "now()"),
            ("issuer", "i", "'infinity'"),
        ] {
            let insert = format!(
                "INSERT INTO tenancy.token_epochs (kind, subject, valid_after)
                 VALUES ('{kind}', '{subject}', {first})"
            );
            let stored = notes.as_admin(&insert).await.is_ok();
            assert_eq!(stored, subject == good, "{insert}");
        }
        reading.close().await;
        Ok(())
    })
    .await
}
