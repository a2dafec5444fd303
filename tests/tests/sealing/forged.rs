//! Seals that were made without the key, or for something else.

use uuid::Uuid;

use crate::{
    in_both_ways,
    talk::{Seal, Session},
};

#[tokio::test]
async fn a_seal_names_its_tenant_and_nobody_else() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut session = Session::open(notes).await?;
        assert_eq!(session.seen().await?, []);
        for (counter, tenant, own) in [(1, &notes.acme, 3), (2, &notes.globex, 5)] {
            let seal = session.seal(counter, tenant.id.as_uuid());
            assert_eq!(session.present(&seal.sql()?).await?, "00000");
            assert_eq!(session.seen().await?, [(tenant.id.as_uuid(), own)]);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_seal_for_something_else_is_refused() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut session = Session::open(notes).await?;
        let made = session.seal(1, notes.acme.id.as_uuid());
        let code = made.code(tenancy_tests::notes::SEAL_SECRET)?;
        let altered: [(&str, Seal); 7] = [
            (
                "counter",
                Seal {
                    counter: 2,
                    ..made.clone()
                },
            ),
            (
                "tenant",
                Seal {
                    tenant: notes.globex.id.as_uuid(),
                    ..made.clone()
                },
            ),
            (
                "project",
                Seal {
                    project: Some(Uuid::now_v7()),
                    ..made.clone()
                },
            ),
            (
                "expires",
                Seal {
                    expires: made.expires + 1,
                    ..made.clone()
                },
            ),
            (
                "challenge",
                Seal {
                    challenge: "0".repeat(32),
                    ..made.clone()
                },
            ),
            (
                "no challenge",
                Seal {
                    challenge: String::new(),
                    ..made.clone()
                },
            ),
            (
                "key",
                Seal {
                    key: 2,
                    ..made.clone()
                },
            ),
        ];
        for (what, seal) in altered {
            assert_eq!(session.present(&seal.with(&code)).await?, "42501", "{what}");
            assert_eq!(session.seen().await?, [], "{what}");
        }
        // As it was made, it is good.
        assert_eq!(session.present(&made.with(&code)).await?, "00000");
        assert_eq!(session.seen().await?, [(notes.acme.id.as_uuid(), 3)]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn fields_can_not_be_shifted_into_one_another() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut session = Session::open(notes).await?;
        let made = session.seal(11, notes.acme.id.as_uuid());
        let code = made.code(tenancy_tests::notes::SEAL_SECRET)?;
        let shifted = Seal {
            challenge: format!("{},1", made.challenge),
            counter: 1,
            ..made.clone()
        };
        assert_eq!(session.present(&shifted.with(&code)).await?, "42501");
        let null = made
            .with(&code)
            .replace(&format!("'{}'", made.tenant), "NULL");
        assert_eq!(session.present(&null).await?, "42501");
        assert_eq!(session.seen().await?, []);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_code_that_was_cut_or_made_with_another_key_is_refused() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut session = Session::open(notes).await?;
        let made = session.seal(1, notes.acme.id.as_uuid());
        let code = made.code(tenancy_tests::notes::SEAL_SECRET)?;
        let flipped = |at: usize| {
            let digit = if &code[at..=at] == "0" { "1" } else { "0" };
            format!("{}{digit}{}", &code[..at], &code[at + 1..])
        };
        for bad in [
            String::new(),
            code[..62].to_owned(),
            format!("{code}00"),
            flipped(0),
            flipped(63),
            made.code(b"another secret that has 32 bytes")?,
        ] {
            assert_eq!(session.present(&made.with(&bad)).await?, "42501", "{bad}");
        }
        let none = made.with("").replace("decode('', 'hex')", "NULL");
        assert_eq!(session.present(&none).await?, "42501");
        assert_eq!(session.seen().await?, []);
        assert_eq!(session.present(&made.with(&code)).await?, "00000");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_seal_that_has_expired_is_refused() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut session = Session::open(notes).await?;
        let good = session.seal(1, notes.acme.id.as_uuid());
        let over = Seal {
            expires: good.expires - 60_000_000,
            ..good.clone()
        };
        assert_eq!(session.present(&over.sql()?).await?, "55000");
        assert_eq!(session.seen().await?, []);
        assert_eq!(session.present(&good.sql()?).await?, "00000");
        Ok(())
    })
    .await
}
