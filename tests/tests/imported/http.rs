//! What a client with an imported key is answered.

use futures_util::future::join_all;
use tenancy_core::key::{LowEntropySecret, SecretHash};
use tenancy_tests::{
    Framework,
    notes::{Notes, on_every_server},
};

use crate::{
    logs,
    world::{Service, engine, import},
};

const RIGHT: &str = "oldco_4711.correcthorse";

/// As dear as a hash may be.
const DEAR: &str = "$argon2id$v=19$m=65536,t=10,p=4$c29tZXNhbHQ\
                    $MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

#[tokio::test]
async fn an_imported_key_is_shown_its_tenants_notes_and_a_bad_one_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        for framework in Framework::ALL {
            let tenancy = engine(notes)?;
            let handle = format!("{framework:?}");
            let secret = LowEntropySecret::new("correcthorse")?;
            let key = import(notes, &tenancy, &handle, secret).await?;
            let service = Service::start(framework, notes, &tenancy).await?;
            let right = format!("oldco_{handle}.correcthorse");
            for _ in 0..2 {
                assert_eq!(
                    service.notes(&right).await?,
                    3,
                    "Acme's, and none of Globex's"
                );
            }
            let wrong = service.refused(&format!("{right}r")).await?;
            assert_eq!(
                (wrong.0, &wrong.1["type"]),
                (401, &"urn:tenancy:problem:unauthenticated".into())
            );
            assert_eq!(service.refused("oldco_nobody.correcthorse").await?, wrong);
            tenancy
                .keys()?
                .by(tenancy_core::testing::service())
                .revoke(notes.acme.id, key.id)
                .await?;
            assert_eq!(service.refused(&right).await?, wrong);
            service.stop().await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_flood_of_secrets_gets_503_and_a_time_to_wait_and_the_owner_goes_on() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let tenancy = engine(notes)?;
        import(
            notes,
            &tenancy,
            "4711",
            LowEntropySecret::new("correcthorse")?,
        )
        .await?;
        import(notes, &tenancy, "dear", SecretHash::argon2id(DEAR)?).await?;
        for framework in Framework::ALL {
            let service = Service::start(framework, notes, &tenancy).await?;
            assert_eq!(service.notes(RIGHT).await?, 3);
            let guesses: Vec<_> = (0..40)
                .map(|n| format!("oldco_dear.{framework:?}{n}"))
                .collect();
            let flood = join_all(guesses.iter().map(|guess| service.ask(guess)));
            let owner = async {
                for _ in 0..20 {
                    assert_eq!(service.notes(RIGHT).await?, 3);
                }
                anyhow::Ok(())
            };
            let (answers, owner) = futures_util::join!(flood, owner);
            owner?;
            let (mut looked_at, mut sent_away) = (0, 0);
            for answer in answers {
                let answer = answer?;
                match answer.status().as_u16() {
                    401 => looked_at += 1,
                    503 => {
                        assert_eq!(answer.headers()["retry-after"], "1");
                        sent_away += 1;
                    }
                    other => anyhow::bail!("{other}"),
                }
            }
            assert!(looked_at >= 5 && sent_away > 0, "{looked_at} {sent_away}");
            service.stop().await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_poisoned_row_is_refused_and_logged_without_its_hash_or_the_secret() -> anyhow::Result<()>
{
    on_every_server(async |notes: &Notes| {
        let tenancy = engine(notes)?;
        import(notes, &tenancy, "4711", LowEntropySecret::new("correcthorse")?).await?;
        let other = LowEntropySecret::new("correcthorse")?;
        let poisoned = import(notes, &tenancy, "4712", other).await?;
        let service = Service::start(Framework::Axum, notes, &tenancy).await?;
        assert_eq!(service.notes("oldco_4712.correcthorse").await?, 3);
        // As somebody would who can write to the table, past everything that looks at hashes.
        notes
            .as_admin(
                "UPDATE tenancy.api_keys SET secret_hash = replace(secret_hash, 'm=19456', 'm=4194304')
                 WHERE handle = '4712'",
            )
            .await?;
        tenancy.catch_up().await?;
        let (status, _) = service.refused("oldco_4712.correcthorse").await?;
        assert_eq!(status, 401);
        let refused = notes.audit.entries();
        let reason = refused.last().and_then(|entry| entry.reason.as_deref());
        assert_eq!(reason, Some("key-hash-unusable"));
        assert_eq!(service.notes(RIGHT).await?, 3);
        let logged = logs::logged();
        assert!(logged.contains(&poisoned.id.to_string()), "{logged}");
        for secret in ["argon2id$", "correcthorse"] {
            assert!(!logged.contains(secret), "{logged}");
            assert!(!format!("{refused:?}").contains(secret), "{refused:?}");
        }
        service.stop().await
    })
    .await
}
