//! What a tenant has written through another process.

use tenancy_sqlx::{ErrorKind, TenantPoolOptions, WriteMark};
use tenancy_tests::notes::Notes;

use crate::{on_every_version, reads_replica, seen, write};

#[tokio::test]
async fn a_mark_that_is_carried_over_is_kept_to() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let (here, _) = world.used_pool(TenantPoolOptions::new()).await?;
        let (there, globex_there) = world.used_pool(TenantPoolOptions::new()).await?;
        world.pause().await?;
        write(&here).await?;
        // Another process knows nothing of it: this is what marks are for.
        assert_eq!(seen(&there).await?, (3, true));

        let context = here.context();
        let carried = here.pool().last_write(context)?;
        let carried: WriteMark = carried
            .map(|mark| mark.to_string())
            .unwrap_or_default()
            .parse()?;
        there.pool().note_write(context, carried)?;
        for _ in 0..10 {
            assert_eq!(seen(&there).await?, (4, false));
        }
        assert_eq!(seen(&globex_there).await?, (5, true));
        world.resume().await?;
        reads_replica(&there).await?;
        assert_eq!(seen(&there).await?, (4, true));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_mark_that_was_made_up_does_no_lasting_harm() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let (acme, globex) = world.used_pool(TenantPoolOptions::new()).await?;
        let own = acme.pool().last_write(acme.context())?;
        let own = own.map(|mark| mark.to_string()).unwrap_or_default();
        let (history, _) = own.rsplit_once('-').unwrap_or_default();
        for made_up in [
            format!("{history}-ffffffffffffffff"),
            "0-1-0".into(),
            "1-ffffffff-1".into(),
        ] {
            acme.pool().note_write(acme.context(), made_up.parse()?)?;
            assert_eq!(seen(&acme).await?, (3, false), "{made_up}");
            assert_eq!(seen(&globex).await?, (5, true), "{made_up}");
            reads_replica(&acme).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn there_is_no_mark_without_replicas_or_for_another_engine() -> anyhow::Result<()> {
    on_every_version(async |world| {
        let without = world.notes.pool(TenantPoolOptions::new()).await?;
        let acme = world.notes.context(&world.notes.acme);
        assert_eq!(without.last_write(&acme)?, None);
        without.note_write(&acme, "0-1-0".parse()?)?;

        let other = Notes::start(world.notes.database.server()).await?;
        let foreign = other.context(&other.acme);
        let pool = world.pool().await?;
        let error = pool.last_write(&foreign).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongEngine);
        let error = pool.note_write(&foreign, "0-1-0".parse()?).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongEngine);
        Ok(())
    })
    .await
}
