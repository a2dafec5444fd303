//! `tenancy adopt code`: what it finds in a folder, and what it does with files that it can't read.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::stand::{Run, run, tenancy};

/// Writes files, each by its path below the folder.
fn write(folder: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// Runs the command over a folder: what was found as `file:line code`, and the summary.
fn look(folder: &Path, options: &[&str], code: i32) -> anyhow::Result<(Vec<String>, Value)> {
    let path = folder.display().to_string();
    let arguments = [&["adopt", "code", &path, "--format", "json"][..], options].concat();
    let mut lines = run(&arguments)?.ends_with(code)?.json()?;
    let summary = lines.pop().context("there is no summary")?["summary"].clone();
    let place = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        format!("{}:{} {}", text("file"), line["line"], text("code"))
    };
    Ok((lines.iter().map(place).collect(), summary))
}

const SOURCE: &str = r##"use sqlx::PgPool;

/// INSERT INTO notes SELECT * FROM old: a comment.
async fn save(pool: &PgPool, id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        r#"INSERT INTO notes (id) VALUES ($1)
           ON CONFLICT (id) DO NOTHING"#,
        id
    );
    // tenancy: checked, it is run by the operators
    sqlx::query("TRUNCATE notes");
    sqlx::query(concat!("SELECT set_config('app.user', $1,",
        " false)")); // tenancy: unchecked
    Ok(())
}
"##;

#[test]
fn places_are_found_with_file_line_and_code() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let files = [
        ("src/notes.rs", SOURCE),
        (
            "queries/copy.sql",
            "-- COPY a FROM stdin\nCOPY notes FROM stdin;\n",
        ),
        (
            "migrations/0001_old.sql",
            "CREATE UNIQUE INDEX i ON notes (title);\n",
        ),
        (
            "migrations/0002_new.sql",
            "ALTER TABLE notes ADD t int;\nUPDATE notes SET t = o;\nALTER TABLE notes DROP o;\n",
        ),
        (
            "target/debug/made.rs",
            "fn f() { query(\"TRUNCATE notes\") }",
        ),
        // What cargo builds lies beside its manifest; another folder of that name has sources.
        ("Cargo.toml", "[package]\nname = \"notes\"\n"),
        ("src/target/mod.rs", "fn f() { query(\"TRUNCATE notes\") }"),
        ("web/index.ts", "await sql`TRUNCATE notes`"),
    ];
    write(folder.path(), &files)?;
    let (found, summary) = look(folder.path(), &[], 1)?;
    let expected = [
        "migrations/0001_old.sql:1 key-across-tenants",
        "migrations/0002_new.sql:2 owner-loss",
        "queries/copy.sql:2 copy-from",
        "src/notes.rs:4 raw-pool",
        "src/notes.rs:7 on-conflict",
        "src/notes.rs:12 session-setting",
        "src/target/mod.rs:1 truncate",
    ];
    ensure!(found == expected, "{found:#?}");
    ensure!(
        summary["files"] == 5 && summary["not_seen"]["other_files"]["ts"] == 1,
        "{summary}"
    );

    let (after, summary) = look(folder.path(), &["--after", "0001_old.sql"], 1)?;
    ensure!(after == expected[1..], "{after:#?}");
    ensure!(summary["not_seen"]["older_migrations"] == 1, "{summary}");

    let path = folder.path().display().to_string();
    let unknown = run(&["adopt", "code", &path, "--after", "0003"])?.ends_with(2)?;
    ensure!(
        unknown.err.contains("no migration") && unknown.out.is_empty(),
        "{unknown:?}"
    );
    let told = run(&["adopt", "code", &path])?.ends_with(1)?;
    ensure!(
        told.out
            .contains("src/notes.rs:7: on-conflict: ON CONFLICT names columns (notes: id)"),
        "{told:?}"
    );
    ensure!(
        told.out.contains("files `.ts`") && !told.out.contains('\u{1b}'),
        "{told:?}"
    );
    Ok(())
}

#[test]
fn a_plan_tells_which_tables_are_a_tenants() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let source = r#"
        const A: &str = "INSERT INTO countries (code) VALUES ($1) ON CONFLICT (code) DO NOTHING";
        const B: &str = "INSERT INTO users (email) VALUES ($1) ON CONFLICT (email) DO NOTHING";
        const C: &str = "SELECT id FROM users WHERE email = $1";
        const D: &str = "SELECT id FROM users WHERE tenant_id = $1 AND email = $2";
        const E: &str = "SELECT id FROM users WHERE name = $1";
    "#;
    write(folder.path(), &[("src/lib.rs", source)])?;
    let (without, _) = look(folder.path(), &[], 1)?;
    ensure!(
        without == ["src/lib.rs:2 on-conflict", "src/lib.rs:3 on-conflict"],
        "{without:#?}"
    );

    let elsewhere = tempfile::tempdir()?;
    let plan = elsewhere.path().join("plan.json");
    fs::write(
        &plan,
        r#"{"version": 1, "schema": "", "tenants": {"kind": "one", "tenant":
            "0199c0de-0000-7000-8000-000000000001", "name": "Acme"}, "tables": [
            {"table": {"schema": "public", "name": "users"}, "definition": "",
             "rows": {"kind": "tenant", "source": {"kind": "one"}},
             "keys": [{"index": "users_email_key", "holds": "tenant"}]},
            {"table": {"schema": "public", "name": "countries"}, "definition": "", "rows": {"kind": "shared"}}]}"#,
    )?;
    let plan = plan.display().to_string();
    let (with, _) = look(folder.path(), &["--plan", &plan], 1)?;
    ensure!(
        with == ["src/lib.rs:3 on-conflict", "src/lib.rs:4 global-lookup"],
        "{with:#?}"
    );

    let wrong = elsewhere.path().join("wrong.json");
    fs::write(&wrong, "{}")?;
    let path = folder.path().display().to_string();
    let wrong = run(&[
        "adopt",
        "code",
        &path,
        "--plan",
        &wrong.display().to_string(),
    ])?
    .ends_with(2)?;
    ensure!(wrong.err.contains("wrong.json: it is no plan"), "{wrong:?}");
    Ok(())
}

#[test]
fn what_cant_be_read_is_named_and_ends_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    write(
        folder.path(),
        &[
            ("a.rs", "fn f() {\n    let x = (;\n"),
            ("z.rs", "fn f() { query(\"TRUNCATE notes\") }"),
        ],
    )?;
    fs::write(folder.path().join("b.sql"), b"SELECT '\xff'")?;
    let (found, summary) = look(folder.path(), &[], 1)?;
    ensure!(found.contains(&"z.rs:1 truncate".to_owned()), "{found:#?}");
    ensure!(found.contains(&"b.sql:1 unread".to_owned()), "{found:#?}");
    ensure!(
        found
            .iter()
            .any(|one| one.starts_with("a.rs:") && one.ends_with("unread")),
        "{found:#?}"
    );
    ensure!(summary["unread"] == 2, "{summary}");

    let nowhere = folder.path().join("nowhere").display().to_string();
    let nowhere = run(&["adopt", "code", &nowhere])?.ends_with(2)?;
    ensure!(
        nowhere.err.contains("nowhere") && nowhere.out.is_empty(),
        "{nowhere:?}"
    );
    Ok(())
}

#[test]
fn a_folder_without_anything_is_fine() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    write(
        folder.path(),
        &[("src/lib.rs", "fn f() { query(\"SELECT 1\") }")],
    )?;
    let (found, summary) = look(folder.path(), &[], 0)?;
    ensure!(found.is_empty() && summary["files"] == 1, "{summary}");
    // It asks for no database, and for nobody.
    let path = folder.path().display().to_string();
    let quiet = Run::of(tenancy(&["adopt", "code", &path, "--quiet"]).output()?).ends_with(0)?;
    ensure!(quiet.out.is_empty() && quiet.err.is_empty(), "{quiet:?}");
    Ok(())
}
