//! What keeps tenants apart and could do it better: told, and no reason to refuse.

use anyhow::Context as _;
use sqlx::{Connection as _, Executor as _};
use tenancy_sqlx::{
    PgDirectory, TenantPoolOptions,
    schema::{self, Finding, FindingLevel},
};
use tenancy_tests::{
    logwatch,
    notes::{Notes, on_every_server},
};

use super::found;
use crate::told;

/// Plant, code, what it is about, and what the text says; whether the mend is a statement that ends
/// it.
const WARNINGS: [(&str, &str, &str, &str, bool); 9] = [
    (
        "CREATE VIEW shown AS SELECT * FROM notes; ALTER VIEW shown OWNER TO tenancy_owner;
         GRANT SELECT ON shown TO tenancy_app",
        "view-not-invoker",
        "public.shown",
        "an index over the tenant and more columns serves",
        true,
    ),
    (
        "ALTER TABLE notebooks ADD CONSTRAINT own UNIQUE (id); COMMENT ON INDEX own IS
             'kept [tenancy: unique across tenants]';
         ALTER TABLE notes ADD CONSTRAINT loose FOREIGN KEY (notebook_id) REFERENCES notebooks (id)",
        "foreign-key-unpaired",
        "public.notes",
        "the foreign key loose does not pair",
        false,
    ),
    (
        "ALTER TABLE notes ADD CONSTRAINT unchecked FOREIGN KEY (tenant_id, notebook_id)
             REFERENCES notebooks (tenant_id, id) NOT VALID",
        "foreign-key-not-valid",
        "public.notes",
        "the foreign key unchecked",
        true,
    ),
    (
        "CREATE UNIQUE INDEX bodies ON notebooks (title)",
        "key-across-tenants",
        "public.notebooks",
        "the unique key public.bodies",
        false,
    ),
    (
        "CREATE UNIQUE INDEX carried ON notebooks (title) INCLUDE (tenant_id)",
        "key-across-tenants",
        "public.notebooks",
        "the unique key public.carried",
        false,
    ),
    (
        // D12: it compares with every other tenant's rows.
        "CREATE EXTENSION btree_gist; ALTER TABLE notebooks ADD CONSTRAINT others
             EXCLUDE USING gist (title WITH =, tenant_id WITH <>)",
        "key-across-tenants",
        "public.notebooks",
        "the unique key public.others",
        false,
    ),
    (
        // D27
        "CREATE POLICY by_region ON notes USING (body = current_setting('app.region'))",
        "policy-setting",
        "public.notes",
        "the policy by_region",
        false,
    ),
    (
        "CREATE PUBLICATION feed FOR TABLE notes (id, body) WHERE (stars > 0)",
        "publication-columns",
        "public.notes",
        "the publication feed",
        false,
    ),
    (
        "CREATE PUBLICATION \"Odd Feed\" FOR TABLE notes (id, body)",
        "publication-columns",
        "public.notes",
        "the publication \"Odd Feed\"",
        true,
    ),
];

const REMOVE: &str = "DROP VIEW IF EXISTS shown; ALTER TABLE notes DROP CONSTRAINT IF EXISTS loose,
    DROP CONSTRAINT IF EXISTS unchecked; ALTER TABLE notebooks DROP CONSTRAINT IF EXISTS own,
    DROP CONSTRAINT IF EXISTS others;
    DROP INDEX IF EXISTS bodies, carried; DROP POLICY IF EXISTS by_region ON notes;
    DROP PUBLICATION IF EXISTS feed, \"Odd Feed\"";

/// From 18 on a foreign key may be there and hold nothing (D11).
const NOT_ENFORCED: (&str, &str, &str, &str, bool) = (
    "ALTER TABLE notes ADD CONSTRAINT unchecked FOREIGN KEY (tenant_id, notebook_id)
         REFERENCES notebooks (tenant_id, id) NOT ENFORCED",
    "foreign-key-not-valid",
    "public.notes",
    "the foreign key unchecked",
    true,
);

#[tokio::test]
async fn each_weakness_is_told_and_refuses_nobody() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let version = told(notes, "SHOW server_version_num").await?;
        let newest = version.unwrap_or_default().parse::<u32>()? >= 180_000;
        let further = newest.then_some(NOT_ENFORCED);
        for (plant, code, subject, text, mended) in WARNINGS.into_iter().chain(further) {
            notes.as_admin(plant).await.context(plant)?;
            let findings = found(notes, "tenancy_app").await?;
            let [finding] = &findings[..] else {
                anyhow::bail!("{plant}: {findings:#?}");
            };
            assert_eq!(finding.level(), FindingLevel::Warning);
            assert_eq!((finding.code(), finding.subject()), (code, subject));
            assert!(finding.text().contains(text), "{finding}");
            let pool = notes.pool(TenantPoolOptions::new()).await?;
            assert_eq!(pool.findings().await?, findings);
            pool.close().await;
            if mended {
                let mend = finding.mend().context("no mend")?;
                notes.as_admin(mend).await.context(mend.to_owned())?;
                let left = found(notes, "tenancy_app").await?;
                anyhow::ensure!(left.is_empty(), "after {mend}: {left:#?}");
            }
            notes.as_admin(REMOVE).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_warning_is_logged_once_when_a_pool_starts() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        // Other tests of this process log as well.
        let view = format!("view_{}", uuid::Uuid::now_v7().simple());
        let plant = format!(
            "CREATE VIEW {view} AS SELECT * FROM notes; ALTER VIEW {view} OWNER TO tenancy_owner;
             GRANT SELECT ON {view} TO tenancy_app"
        );
        notes.as_admin(&plant).await?;
        let mark = logwatch::mark();
        PgDirectory::connect_with(notes.app_options(), 1)
            .await?
            .close()
            .await;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        pool.ready().await?;
        pool.close().await;
        let lines: Vec<_> = logwatch::ours_since(mark)
            .iter()
            .filter(|line| line.to_string().contains(&view))
            .map(ToString::to_string)
            .collect();
        let [line] = &lines[..] else {
            anyhow::bail!("{lines:#?}");
        };
        for part in ["WARN", "view-not-invoker", "SET (security_invoker = true)"] {
            assert!(line.contains(part), "no {part} in {line}");
        }
        Ok(())
    })
    .await
}

/// D34, and what looks alike and goes on working.
const FUNCTIONS: &str = "
SET ROLE tenancy_owner;
CREATE TABLE tags (name text, weight int);
SELECT tenancy.protect('tags');
CREATE TABLE codes (code text CONSTRAINT codes_code UNIQUE, n int);
SELECT tenancy.protect('codes');
CREATE UNIQUE INDEX kept ON codes (code);
COMMENT ON INDEX kept IS '[tenancy: unique across tenants]';
CREATE TABLE loose (name text UNIQUE, weight int);
CREATE FUNCTION on_note() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
    -- INSERT INTO tags (name) VALUES ('a') ON CONFLICT (name) DO NOTHING;
    INSERT INTO loose (name) VALUES (NEW.body) ON CONFLICT (name) DO NOTHING;
    INSERT INTO tags (name)
    VALUES (NEW.body)
    ON CONFLICT (name) DO UPDATE SET weight = tags.weight + 1;
    INSERT INTO public.tags (name) VALUES ('b') ON CONFLICT (tenant_id, name) DO NOTHING;
    INSERT INTO codes (code) VALUES ('c') ON CONFLICT (code) DO NOTHING;
    INSERT INTO codes (code) VALUES ('c') ON CONFLICT DO NOTHING;
    RETURN NEW;
END
$f$;
CREATE FUNCTION fixed_list() RETURNS SETOF tags LANGUAGE plpgsql AS $f$
BEGIN
    RETURN QUERY
        SELECT name, weight FROM tags;
END
$f$;
CREATE FUNCTION whole() RETURNS SETOF tags LANGUAGE sql AS 'SELECT * FROM tags';
CREATE FUNCTION copies() RETURNS void LANGUAGE sql AS $f$
    INSERT INTO loose SELECT * FROM loose;
    INSERT INTO loose (name) VALUES ('d');

    INSERT INTO public.tags
    SELECT * FROM loose;
$f$";

#[tokio::test]
async fn functions_that_the_tenant_column_breaks_are_told_with_the_line() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut admin = notes.database.admin().await?;
        assert!(schema::code_warnings(&mut admin).await?.is_empty());
        admin.execute("SET check_function_bodies = off").await?;
        admin.execute(FUNCTIONS).await?;
        let warnings = schema::code_warnings(&mut admin).await?;
        let told: Vec<_> = warnings.iter().map(in_short).collect();
        assert_eq!(
            told,
            [
                "warning on-conflict public.on_note(): line 7: ON CONFLICT (name) on public.tags",
                "warning positional-insert public.copies(): line 6: INSERT INTO public.tags SELECT *",
                "warning returns-row public.fixed_list(): line 4: it returns rows of public.tags",
            ]
        );
        admin.close().await?;
        asked_by_the_service(notes).await
    })
    .await
}

fn in_short(finding: &Finding) -> String {
    let words: Vec<_> = finding.text().split(' ').take(8).collect();
    let text = words.join(" ");
    let text = [
        "ON CONFLICT (name) on public.tags",
        "SELECT *",
        "rows of public.tags",
    ]
    .iter()
    .find_map(|end| Some(&text[..text.find(end)? + end.len()]))
    .unwrap_or(&text);
    format!(
        "{} {} {}: {text}",
        finding.level(),
        finding.code(),
        finding.subject()
    )
}

/// The service's login may ask as well.
async fn asked_by_the_service(notes: &Notes) -> anyhow::Result<()> {
    let mut app = notes.app().await?;
    assert_eq!(schema::code_warnings(&mut app).await?.len(), 3);
    Ok(app.close().await?)
}
