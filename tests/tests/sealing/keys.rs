//! Keys: two at a time, and none that was retired.

use tenancy_sqlx::{SealKey, StartErrorKind, TenantPoolOptions, schema};
use tenancy_tests::notes::{at_rest, seal_key};

use crate::{
    in_both_ways,
    talk::{Seal, Session},
};

const NEXT: &[u8] = b"the seal secret of the next season";

#[tokio::test]
async fn one_key_takes_the_place_of_another_while_services_run() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        tenancy_tests::logwatch::issued(NEXT);
        let next = SealKey::new(2, NEXT)?;
        let one = TenantPoolOptions::new().max_connections(1);
        let former = notes.pool(one.seal_key(seal_key()?)).await?;
        let unknown = TenantPoolOptions::new()
            .seal_key(next.clone())
            .connect_with(notes.app_options(), &notes.tenancy)
            .await
            .unwrap_err();
        assert_eq!(unknown.kind(), StartErrorKind::Seal, "{unknown}");
        assert!(unknown.to_string().contains("add_seal_key"), "{unknown}");

        let mut admin = notes.database.admin().await?;
        schema::add_seal_key(&mut admin, &next).await?;
        schema::add_seal_key(&mut admin, &next).await?;
        let later = TenantPoolOptions::new()
            .seal_key(next)
            .connect_with(notes.app_options(), &notes.tenancy)
            .await?;
        let context = notes.context(&notes.acme);
        for pool in [&former, &later] {
            let db = pool.tenant(&context)?;
            let rows = sqlx::query("SELECT FROM notes").fetch_all(&db);
            assert_eq!(rows.await?.len(), 3);
        }

        at_rest(&former, 1).await?;
        schema::retire_seal_key(&mut admin, 1).await?;
        let refused = former.begin(&context).await.map(drop).unwrap_err();
        assert!(refused.to_string().contains("not in use"), "{refused}");
        let db = later.tenant(&context)?;
        let rows = sqlx::query("SELECT FROM notes").fetch_all(&db);
        assert_eq!(rows.await?.len(), 3);
        // Its number is not given again.
        assert!(
            schema::add_seal_key(&mut admin, &seal_key()?)
                .await
                .is_err()
        );
        assert!(schema::retire_seal_key(&mut admin, 3).await.is_err());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_number_is_one_keys() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut admin = notes.database.admin().await?;
        let other = schema::add_seal_key(&mut admin, &SealKey::new(1, NEXT)?).await;
        assert!(other.unwrap_err().to_string().contains("another one"));
        Ok(())
    })
    .await
}

/// HMAC takes a key of more than 64 bytes by its digest.
#[tokio::test]
async fn keys_of_every_length_make_the_same_code_on_both_sides() -> anyhow::Result<()> {
    in_both_ways(async |notes| {
        let mut admin = notes.database.admin().await?;
        for (id, length) in [(10, 32), (11, 63), (12, 64), (13, 65), (14, 200)] {
            let secret: Vec<u8> = (0..length).map(|at| (at * 7 + 128) as u8).collect();
            schema::add_seal_key(&mut admin, &SealKey::new(id, &secret)?).await?;
            let mut session = Session::open(notes).await?;
            let seal = Seal {
                key: i32::from(id),
                ..session.seal(1, notes.acme.id.as_uuid())
            };
            let statement = seal.with(&seal.code(&secret)?);
            assert_eq!(session.present(&statement).await?, "00000", "{length}");
        }
        Ok(())
    })
    .await
}
