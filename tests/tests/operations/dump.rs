//! A dump, and a server that has never heard of the roles.

use sqlx::ConnectOptions as _;
use tenancy_sqlx::schema::Installer;
use tenancy_tests::notes::MIGRATIONS;

use crate::{Service, aged, ask, bare, programs, run};

#[tokio::test]
async fn a_dump_is_restored_where_the_roles_were_not_and_isolates_as_before() -> anyhow::Result<()>
{
    let Some(notes) = aged("").await? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("notes.dump");
    programs::dump(&notes.database.admin_options(), &file).await?;
    for server in bare().await? {
        let admin = server.admin_options();
        run(&admin, "CREATE DATABASE notes").await?;
        let target = admin.clone().database("notes");
        let refused = programs::restore(&target, &file, &[])
            .await
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("role \"tenancy_owner\" does not exist"),
            "{refused}"
        );

        // What came before the error is there; the next attempt starts from nothing.
        run(&admin, "DROP DATABASE notes").await?;
        run(&admin, "CREATE DATABASE notes").await?;
        programs::copy_roles(&notes.database.admin_options(), &admin).await?;
        programs::restore(&target, &file, &[]).await?;
        let mut connection = target.clone().connect().await?;
        Installer::new()
            .run_on(&mut connection, &MIGRATIONS)
            .await?;

        let armed = "SELECT bool_and(tgenabled = 'A') FROM pg_trigger
            WHERE tgname = 'advance_generation'";
        assert!(ask::<bool>(&mut connection, armed).await?);
        let forced = "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class
            WHERE oid = 'notes'::regclass";
        assert!(ask::<bool>(&mut connection, forced).await?);
        let service = Service::over(target.clone()).await?;
        let both = (notes.alice, notes.bob);
        service.keeps_apart(target.clone(), both).await?;
        service.will_answer(notes.alice, "acme", (200, "")).await?;
        let suspend = "UPDATE tenancy.tenants SET status = 'suspended' WHERE slug = 'acme'";
        run(&target, suspend).await?;
        let suspended = (403, "tenant-suspended");
        service.will_answer(notes.alice, "acme", suspended).await?;
        assert_eq!(service.answer(notes.bob, "globex").await, (200, ""));
    }
    Ok(())
}
