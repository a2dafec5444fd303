//! `tenancy.check()`: what was forgotten, each with a mend that ends it.

use tenancy_sqlx::schema::{self, CheckError, CheckMode, Installer};
use tenancy_tests::notes::{MIGRATIONS, Notes, on_every_server};

use crate::{as_owner, told};

/// How it is planted, its code, and what it is about.
const FORGOTTEN: [(&str, &str, &str); 9] = [
    (
        "CREATE TABLE tags (name text)",
        "undecided-table",
        "public.tags",
    ),
    (
        "CREATE TABLE settings (n int); GRANT SELECT, UPDATE ON settings TO tenancy_app",
        "open-table",
        "public.settings",
    ),
    (
        "CREATE SEQUENCE order_no; REVOKE ALL ON SEQUENCE order_no FROM tenancy_app;
         CREATE TABLE orders (n int); SELECT tenancy.protect('orders');
         ALTER TABLE orders ALTER n SET DEFAULT nextval('order_no')",
        "sequence-closed",
        "public.order_no",
    ),
    (
        "CREATE TABLE bills (n int); SELECT tenancy.protect('bills');
         ALTER TABLE bills SET SCHEMA billing",
        "schema-closed",
        "billing",
    ),
    (
        "CREATE TABLE people (id int); SELECT tenancy.protect('people');
         ALTER TABLE people ADD email text UNIQUE",
        "key-across-tenants",
        "public.people",
    ),
    (
        "CREATE TABLE a (id int PRIMARY KEY); SELECT tenancy.protect('a', global => '{a_pkey}');
         CREATE TABLE b (a int); SELECT tenancy.protect('b');
         ALTER TABLE b ADD FOREIGN KEY (a) REFERENCES a",
        "foreign-key-unpaired",
        "public.b",
    ),
    (
        "CREATE TABLE users (id uuid PRIMARY KEY, name text, password_hash text, totp_secret text);
         SELECT tenancy.share_with_members('users')",
        "account-secrets",
        "public.users",
    ),
    (
        "CREATE TABLE members (tenant_id uuid, n int); GRANT SELECT ON members TO tenancy_app",
        "unguarded-table",
        "public.members",
    ),
    (
        "CREATE VIEW bodies AS SELECT body FROM notes; SELECT tenancy.share('bodies')",
        "view-not-invoker",
        "public.bodies",
    ),
];

async fn found(notes: &Notes) -> anyhow::Result<Vec<(String, String, Option<String>)>> {
    let mut admin = notes.database.admin().await?;
    let findings = match schema::check(&mut admin, CheckMode::Lenient).await {
        Ok(findings) | Err(CheckError::Found(findings)) => findings,
        Err(error) => return Err(error.into()),
    };
    let told = |one: &schema::Finding| {
        let mend = one.mend().map(ToOwned::to_owned);
        (one.code().to_owned(), one.subject().to_owned(), mend)
    };
    Ok(findings.iter().map(told).collect())
}

#[tokio::test]
async fn what_was_forgotten_is_found_and_its_mend_ends_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin("CREATE SCHEMA billing AUTHORIZATION tenancy_owner")
            .await?;
        assert_eq!(found(notes).await?, []);
        for (plant, code, subject) in FORGOTTEN {
            as_owner(notes, plant).await?;
            let findings = found(notes).await?;
            let [(told, about, Some(mend))] = &findings[..] else {
                anyhow::bail!("{code}: not one, with a mend: {findings:#?}");
            };
            assert_eq!((&**told, &**about), (code, subject), "{findings:#?}");
            notes
                .as_admin(mend)
                .await
                .map_err(|error| error.context(mend.clone()))?;
            assert_eq!(found(notes).await?, [], "after {mend}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_meant_is_said_in_a_comment() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE jobs (n int); COMMENT ON TABLE jobs IS 'The queue. [tenancy: not for tenants]';
             CREATE TABLE hits (n int); GRANT INSERT ON hits TO tenancy_app;
             COMMENT ON TABLE hits IS '[tenancy: not for tenants]';
             CREATE FUNCTION adds() RETURNS void LANGUAGE sql AS
                 'INSERT INTO notebooks (title) VALUES (''x'') ON CONFLICT (title) DO NOTHING';
             COMMENT ON FUNCTION adds() IS '[tenancy: checked]'",
        )
        .await?;
        assert_eq!(found(notes).await?, []);
        Ok(())
    })
    .await
}

/// What is no table of the application, or is one of something that was decided about.
#[tokio::test]
async fn tables_of_others_are_left_alone() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "CREATE EXTENSION pgcrypto; CREATE TABLE its (n int); ALTER EXTENSION pgcrypto ADD TABLE its;
                 CREATE SCHEMA cron; CREATE TABLE cron.jobs (n int); CREATE TEMPORARY TABLE gone (n int)",
            )
            .await?;
        as_owner(
            notes,
            "CREATE TABLE events (at date) PARTITION BY RANGE (at); SELECT tenancy.protect('events');
             CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
             CREATE TABLE countries (code text); SELECT tenancy.share('countries')",
        )
        .await?;
        assert_eq!(found(notes).await?, []);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn strict_takes_warnings_for_errors_and_names_each_with_its_mend() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut admin = notes.database.admin().await?;
        let nothing = schema::check(&mut admin, CheckMode::Strict).await?;
        assert!(nothing.is_empty());
        as_owner(notes, "CREATE TABLE tags (n int)").await?;
        let passed = schema::check(&mut admin, CheckMode::Lenient).await?;
        assert_eq!(passed.len(), 1);
        let failed = schema::check(&mut admin, CheckMode::Strict).await;
        let said = failed.map_err(|error| error.to_string()).unwrap_err();
        for part in [
            "\n  warning: public.tags: neither protected nor shared",
            "(undecided-table); mend it with SELECT tenancy.protect('public.tags')",
        ] {
            assert!(said.contains(part), "no {part} in {said}");
        }

        // The installer asks the same.
        Installer::new().run_on(&mut admin, &MIGRATIONS).await?;
        let strict = Installer::new().strict(true);
        let refused = strict.run_on(&mut admin, &MIGRATIONS).await;
        assert!(refused.is_err_and(|error| error.to_string() == said));
        as_owner(notes, "SELECT tenancy.protect('tags')").await?;
        strict.run_on(&mut admin, &MIGRATIONS).await?;

        // What tenants are kept apart by is an error in either mode.
        notes
            .as_admin("ALTER TABLE notes DISABLE ROW LEVEL SECURITY")
            .await?;
        assert!(schema::check(&mut admin, CheckMode::Lenient).await.is_err());
        Ok(())
    })
    .await
}

/// The service's own login may ask, and so may the operators'.
#[tokio::test]
async fn the_logins_may_ask_and_are_told_the_same() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, "CREATE TABLE tags (n int)").await?;
        let count = "SELECT count(*)::text FROM tenancy.check()";
        assert_eq!(told(notes, count).await?.as_deref(), Some("1"));
        let mut app = notes.app().await?;
        let by_app: Option<String> = sqlx::query_scalar(count).fetch_one(&mut app).await?;
        assert_eq!(by_app.as_deref(), Some("1"));
        Ok(())
    })
    .await
}

/// The sealer's functions read tables of these names, and they are not the application's.
#[tokio::test]
async fn a_table_is_not_taken_for_one_of_the_sealer() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE sessions (tenant_id uuid); CREATE TABLE keys (tenant_id uuid)",
        )
        .await?;
        let codes: Vec<_> = found(notes).await?.into_iter().map(|one| one.0).collect();
        assert_eq!(codes, ["undecided-table", "undecided-table"]);
        Ok(())
    })
    .await
}

/// Who owns the tables can switch their triggers off. The check tells it, whoever asks, and its mend ends it.
#[tokio::test]
async fn a_trail_whose_guard_is_switched_off_is_told_with_its_mend() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let faults = [
            (
                "ALTER TABLE tenancy.audit_links DISABLE TRIGGER USER",
                "keep_trail, keep_whole",
            ),
            (
                "ALTER TABLE tenancy.audit_particulars_other ENABLE TRIGGER keep_trail",
                "keep_trail",
            ),
            (
                "DROP TRIGGER keep_whole ON tenancy.audit_checkpoints",
                "keep_whole",
            ),
            (
                "DROP TRIGGER index_targets ON tenancy.audit_particulars",
                "index_targets",
            ),
            (
                "DROP TRIGGER await_link ON tenancy.audit_records",
                "await_link",
            ),
        ];
        for (fault, triggers) in faults {
            notes.as_admin(fault).await?;
            let findings = schema::check(&mut notes.app().await?, CheckMode::Lenient).await?;
            let told = format!("the trigger {triggers} is missing, another");
            anyhow::ensure!(!findings.is_empty(), "{fault}: nothing was found");
            for finding in &findings {
                anyhow::ensure!(
                    finding.code() == "trail-unguarded" && finding.text().contains(&told),
                    "{fault}: {finding:#?}"
                );
                let mend = finding.mend().unwrap_or_default();
                notes.as_admin(mend).await?;
            }
            let left = schema::check(&mut notes.app().await?, CheckMode::Lenient).await?;
            anyhow::ensure!(left.is_empty(), "after the mends of {fault}: {left:#?}");
        }
        Ok(())
    })
    .await
}
