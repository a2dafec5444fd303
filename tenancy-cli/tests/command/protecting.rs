//! `tenancy protect` and `tenancy unprotect`.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use sqlx::{AssertSqlSafe, Executor as _, migrate::Migrator};
use tenancy_tests::{
    Server, TestDatabase,
    catalog::{catalog, difference},
    notes::{Notes, PASSWORD, on_every_server},
};

use crate::{
    schema::{EMPTY, install},
    stand::{Run, tenancy},
};

/// Two tables that refer to each other, one that nobody is to see, and one that is shared.
const TABLES: &str = "CREATE TABLE shelves (id int PRIMARY KEY, label text UNIQUE DEFAULT 'a;b');
     CREATE TABLE \"My Books\" (id int PRIMARY KEY, shelf int REFERENCES shelves ON DELETE SET NULL, token text);
     CREATE UNIQUE INDEX tokens ON \"My Books\" (token);
     ALTER TABLE shelves ADD best int REFERENCES \"My Books\";
     CREATE VIEW counted AS SELECT id, label FROM shelves GROUP BY id;
     CREATE TABLE jobs (id int); COMMENT ON TABLE jobs IS 'the queue [tenancy: not for tenants]';
     CREATE TABLE countries (code text); SELECT tenancy.share('countries')";

/// What `protect` has written down.
async fn records_of(notes: &Notes) -> anyhow::Result<Vec<String>> {
    let records = "SELECT p::text FROM tenancy.protections AS p ORDER BY 1";
    Ok(sqlx::query_scalar(records)
        .fetch_all(&mut notes.database.admin().await?)
        .await?)
}

async fn catalog_of(notes: &Notes) -> anyhow::Result<Vec<String>> {
    Ok(catalog(&mut notes.database.admin().await?).await?)
}

fn run(notes: &Notes, arguments: &[&str]) -> anyhow::Result<Run> {
    run_in(&notes.database, arguments)
}

fn run_in(database: &TestDatabase, arguments: &[&str]) -> anyhow::Result<Run> {
    let mut command = tenancy(arguments);
    command.env("TENANCY_ADMIN_DATABASE_URL", database.url());
    Ok(Run::of(command.output()?))
}

#[tokio::test]
async fn what_is_printed_does_what_the_command_does_and_both_are_taken_back() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        notes.as_admin(TABLES).await?;
        let (before, records) = (catalog_of(notes).await?, records_of(notes).await?);
        let tables = ["shelves", "public.\"My Books\""];
        let call = |more: &[&'static str]| [&["protect"], &tables[..], more].concat();
        let printed = run(notes, &call(&["--keep-global", "tokens", "--dry-run"]))?.ends_with(0)?;
        ensure!(
            difference(&before, &catalog_of(notes).await?).is_empty(),
            "{printed:?}"
        );
        ensure!(
            printed
                .out
                .contains("\nALTER TABLE public.shelves ADD COLUMN tenant_id uuid;\n"),
            "{printed:?}"
        );
        // In one order, and nobody waits for long.
        let begins = "BEGIN;\nSELECT tenancy.one_at_a_time();\nSET LOCAL lock_timeout = '1000ms';\n\
                      LOCK TABLE tenancy.tenants IN SHARE ROW EXCLUSIVE MODE;\nLOCK TABLE public.\"My Books\";\n\
                      LOCK TABLE public.shelves;\n";
        ensure!(printed.out.starts_with(begins), "{printed:?}");

        notes
            .as_admin(&printed.out)
            .await
            .context(printed.out.clone())?;
        let by_hand = catalog_of(notes).await?;
        let again = run(notes, &call(&["--format", "json"]))?.ends_with(0)?;
        ensure!(again.json()?[0]["statements"] == 0, "{again:?}");
        let undone = run(notes, &[&["unprotect"], &tables[..]].concat())?.ends_with(0)?;
        ensure!(
            undone.out == "unprotected: public.shelves, public.\"My Books\"\n",
            "{undone:?}"
        );
        ensure!(difference(&before, &catalog_of(notes).await?).is_empty());
        let undone = run(notes, &[&["unprotect"], &tables[..]].concat())?.ends_with(0)?;
        ensure!(
            undone.out == "nothing to do: 2 tables are not protected\n",
            "{undone:?}"
        );

        let done = run(notes, &call(&["--keep-global", "tokens"]))?.ends_with(0)?;
        ensure!(
            done.out == "protected: public.shelves, public.\"My Books\"\n",
            "{done:?}"
        );
        let by_command = catalog_of(notes).await?;
        ensure!(
            difference(&by_hand, &by_command).is_empty(),
            "{}",
            difference(&by_hand, &by_command)
        );
        let again = run(notes, &call(&[]))?.ends_with(0)?;
        ensure!(
            again.out == "nothing to do: 2 tables are protected\n",
            "{again:?}"
        );
        let nothing = run(notes, &call(&["--dry-run"]))?.ends_with(0)?;
        ensure!(
            nothing.out.is_empty() && nothing.err == "nothing to do\n",
            "{nothing:?}"
        );

        // The same of the way back.
        let printed =
            run(notes, &[&["unprotect", "--dry-run"], &tables[..]].concat())?.ends_with(0)?;
        ensure!(
            difference(&by_command, &catalog_of(notes).await?).is_empty(),
            "{printed:?}"
        );
        notes
            .as_admin(&printed.out)
            .await
            .context(printed.out.clone())?;
        ensure!(difference(&before, &catalog_of(notes).await?).is_empty());
        ensure!(records_of(notes).await? == records);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn all_are_those_of_which_nobody_has_said_whose_they_are() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes.as_admin(TABLES).await?;
        // What everybody may read nobody has shared.
        notes.as_admin("GRANT SELECT ON shelves TO PUBLIC").await?;
        let all =
            run(notes, &["protect", "--all", "--column", "org", "--project"])?.ends_with(0)?;
        ensure!(
            all.err == "not decided yet: public.\"My Books\", public.shelves\n",
            "{all:?}"
        );
        let mut admin = notes.database.admin().await?;
        let scopes: Vec<String> = sqlx::query_scalar(
            "SELECT relname || tenancy.scope_columns(oid)::text FROM pg_class
             WHERE relname IN ('My Books', 'shelves', 'jobs', 'countries') ORDER BY 1",
        )
        .fetch_all(&mut admin)
        .await?;
        ensure!(
            scopes
                == [
                    "My Books{org,project_id}",
                    "countries{}",
                    "jobs{}",
                    "shelves{org,project_id}"
                ],
            "{scopes:?}"
        );
        let again = run(notes, &["protect", "--all"])?.ends_with(0)?;
        ensure!(
            again.out == "nothing to do: every table is decided\n",
            "{again:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_stands_in_the_way_is_named_and_nothing_is_changed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes.as_admin(TABLES).await?;
        notes
            .as_admin("INSERT INTO shelves (id) VALUES (1)")
            .await?;
        let before = catalog_of(notes).await?;
        for (arguments, named) in [
            (
                &["protect", "shelfs", "shelves", "no.such"][..],
                &["`shelfs`", "`no.such`"][..],
            ),
            (&["protect", "a b"], &["`a b`"]),
            (
                &["protect", "counted"],
                &["public.counted", "security_invoker"],
            ),
            (
                &["protect", "shelves", "My Books"],
                &["`My Books`", "quoted"],
            ),
            (
                &["protect", "--all"],
                &[
                    "public.shelves",
                    "rows that belong to no tenant",
                    "ADD COLUMN tenant_id uuid",
                ],
            ),
            (
                &["protect", "jobs", "--keep-global", "jobs_key"],
                &["jobs_key"],
            ),
            (&["protect"], &["TABLES"]),
            (&["protect", "jobs", "--all"], &["--all"]),
            (&["unprotect", "shelfs"], &["`shelfs`"]),
            (&["unprotect", "counted"], &["public.counted is a view"]),
        ] {
            let refused = run(notes, arguments)?.ends_with(2)?;
            ensure!(
                refused.out.is_empty() && named.iter().all(|name| refused.err.contains(name)),
                "{refused:?}"
            );
        }
        let json = run(notes, &["protect", "counted", "--format", "json"])?.ends_with(2)?;
        ensure!(json.err.starts_with("{\"error\":"), "{json:?}");
        ensure!(difference(&before, &catalog_of(notes).await?).is_empty());

        let mut unlocked = tenancy(&["protect", "jobs"]);
        let without = Run::of(unlocked.output()?).ends_with(2)?;
        ensure!(
            without.err.contains("TENANCY_ADMIN_DATABASE_URL"),
            "{without:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nobody_waits_behind_it_for_longer_than_it_says() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes.as_admin(TABLES).await?;
        let mut reader = notes.database.admin().await?;
        reader.execute("BEGIN; SELECT FROM shelves").await?;
        let hasty = [
            "protect",
            "shelves",
            "\"My Books\"",
            "--lock-timeout",
            "20",
            "--attempts",
            "2",
        ];
        let refused = run(notes, &hasty)?.ends_with(2)?;
        ensure!(
            refused.err.contains("2 attempts of 20 ms")
                && refused.err.contains("nothing was changed"),
            "{refused:?}"
        );
        reader.execute("COMMIT").await?;
        run(notes, &hasty)?.ends_with(0)?;
        // What is shared, and referred to, stays as it is.
        notes
            .as_admin(
                "ALTER TABLE countries ADD PRIMARY KEY (code); CREATE TABLE towns (country text REFERENCES countries)",
            )
            .await?;
        reader.execute("BEGIN; SELECT FROM countries").await?;
        run(
            notes,
            &["protect", "towns", "--lock-timeout", "1000", "--attempts", "1"],
        )?
        .ends_with(0)?;
        reader.execute("COMMIT").await?;
        // Where there is nothing to do, nothing is locked.
        reader.execute("BEGIN; SELECT FROM shelves").await?;
        let nothing = run(notes, &hasty)?.ends_with(0)?;
        ensure!(nothing.out.starts_with("nothing to do"), "{nothing:?}");
        reader.execute("ROLLBACK").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_login_without_rights_is_told_who_it_is_and_who_has_them() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut command = tenancy(&["unprotect", "notes"]);
        let url = notes.database.url_as("tenancy_app", Some(PASSWORD));
        command.env("TENANCY_ADMIN_DATABASE_URL", url);
        let refused = Run::of(command.output()?).ends_with(2)?;
        ensure!(
            refused.err.contains(
                "the role `tenancy_app` may not call `tenancy.protect` and `tenancy.unprotect`"
            ) && refused.err.contains("TENANCY_ADMIN_DATABASE_URL"),
            "{refused:?}"
        );
        Ok(())
    })
    .await
}

/// The names of the files of a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let names =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<_> = names.collect::<Result<_, std::io::Error>>()?;
    names.sort();
    Ok(names)
}

/// The catalog without the table in which sqlx records migrations.
async fn catalog_in(database: &TestDatabase) -> anyhow::Result<Vec<String>> {
    let mut lines = catalog(&mut database.admin().await?).await?;
    lines.retain(|line| !line.contains("_sqlx_migrations"));
    Ok(lines)
}

#[tokio::test]
async fn as_migrations_they_run_on_either_way_and_back() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let database = server.database(&EMPTY).await?;
        Run::of(install(&database, &[]).output()?).ends_with(0)?;
        let mut owner = database.admin().await?;
        owner.execute("SET ROLE tenancy_owner").await?;
        owner.execute(AssertSqlSafe(TABLES.to_owned())).await?;
        let before = catalog_in(&database).await?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().display().to_string();
        let emit = ["protect", "--all", "--emit", &path];
        let emitted = run_in(&database, &emit)?.ends_with(0)?;
        ensure!(
            difference(&before, &catalog_in(&database).await?).is_empty(),
            "{emitted:?}"
        );
        let names = files(folder.path())?;
        ensure!(
            names.len() == 2
                && names[0].ends_with("_protect_tables.down.sql")
                && names[1].ends_with("_protect_tables.up.sql"),
            "{names:?}"
        );

        for name in &names {
            let text = fs::read_to_string(folder.path().join(name))?;
            ensure!(
                text.contains("SET LOCAL lock_timeout = '1000ms';\n")
                    && text.contains("\nLOCK TABLE public.shelves;\n"),
                "{text}"
            );
        }

        // As the owner role, by the installer.
        Run::of(install(&database, &["--migrations", &path]).output()?).ends_with(0)?;
        let by_installer = catalog_in(&database).await?;
        ensure!(!difference(&before, &by_installer).is_empty());
        let again = run_in(&database, &emit)?.ends_with(0)?;
        ensure!(
            again.err.contains("nothing is written") && files(folder.path())?.len() == 2,
            "{again:?}"
        );

        // As the administrator, as sqlx-cli does.
        let migrations = Migrator::new(folder.path()).await?;
        let mut admin = database.admin().await?;
        migrations.undo(&mut admin, 0).await?;
        let undone = difference(&before, &catalog_in(&database).await?);
        ensure!(undone.is_empty(), "{undone}");
        migrations.run(&mut admin).await?;
        let otherwise = difference(&by_installer, &catalog_in(&database).await?);
        ensure!(otherwise.is_empty(), "{otherwise}");
        let tables = ["protect", "shelves", "\"My Books\""];
        let by_command = run_in(&database, &tables)?.ends_with(0)?;
        ensure!(
            by_command.out.starts_with("nothing to do"),
            "{by_command:?}"
        );
        database.close().await?;
    }
    Ok(())
}
