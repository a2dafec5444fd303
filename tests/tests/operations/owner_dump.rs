//! A dump by somebody who is no superuser: complete as the owner, and which one is not.

use crate::{aged, programs, run};

/// The bodies of the notes in a dump.
fn notes_in(dump: &str) -> usize {
    dump.lines().filter(|line| line.contains("\tnote ")).count()
}

#[tokio::test]
async fn the_owners_dump_is_complete_and_the_services_lacks_every_protected_row()
-> anyhow::Result<()> {
    let Some(notes) = aged("").await? else {
        return Ok(());
    };
    let admin = notes.database.admin_options();
    run(
        &admin,
        "CREATE ROLE backup LOGIN NOINHERIT; GRANT tenancy_owner TO backup",
    )
    .await?;
    let database = notes.database.name();
    let backup = admin.clone().username("backup");
    let as_owner = "--role=tenancy_owner";
    // pg_dump switches row security off, and PostgreSQL refuses to show less than there is.
    let refused = programs::run("pg_dump", &backup, &[as_owner, database])
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("affected by row-level security policy"),
        "{refused}"
    );
    let policies = "--enable-row-security";
    let complete = programs::run("pg_dump", &backup, &[as_owner, policies, database]).await?;
    assert_eq!(notes_in(&complete), 8);
    for tenant in [&notes.acme, &notes.globex] {
        let id = tenant.id.to_string();
        let of_tenant = |line: &&str| line.contains("\tnote ") && line.contains(&id);
        assert!(complete.lines().filter(of_tenant).count() >= 3);
        // Its record, its membership and its generation.
        assert!(complete.matches(&id).count() >= 6, "{id}");
    }

    // The service's login: refused where it would be asked for the whole database or without the
    // flag, and with it a dump that looks like one and has nobody's rows.
    let app = admin.clone().username("tenancy_app");
    let refused = programs::run("pg_dump", &app, &[policies, database])
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("permission denied"),
        "{refused}"
    );
    let table = "--table=notes";
    let refused = programs::run("pg_dump", &app, &[table, database])
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("affected by row-level security policy"),
        "{refused}"
    );
    let partial = programs::run("pg_dump", &app, &[table, policies, database]).await?;
    assert!(partial.contains("COPY public.notes"));
    assert_eq!(notes_in(&partial), 0);
    Ok(())
}
