//! Taking protection back: what is restored, and what is refused by name.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tenancy_tests::{
    catalog::{catalog, difference},
    notes::{Notes, on_every_server},
};

use crate::{as_owner, refusal, told};

/// Tables that refer to each other, with what is easily lost.
const TABLES: &str = "CREATE TABLE \"My Books\" (id serial PRIMARY KEY, title text DEFAULT '(;', up int REFERENCES \"My Books\",
         CONSTRAINT titled UNIQUE NULLS NOT DISTINCT (title) DEFERRABLE INITIALLY DEFERRED);
     COMMENT ON CONSTRAINT titled ON \"My Books\" IS 'said';
     CREATE TABLE pages (id int PRIMARY KEY, book int NOT NULL REFERENCES \"My Books\" ON DELETE CASCADE, token text);
     CREATE UNIQUE INDEX tokens ON pages (lower(token)) INCLUDE (book) WITH (fillfactor = 60) WHERE token <> '';
     ALTER TABLE \"My Books\" ADD cover int, ADD CONSTRAINT cover FOREIGN KEY (cover) REFERENCES pages NOT VALID;
     CREATE VIEW read AS SELECT id, title, count(*) AS n FROM \"My Books\" GROUP BY id;
     GRANT SELECT ON pages TO PUBLIC";

const PROTECT: &str = "SELECT tenancy.protect_tables('{\"\\\"My Books\\\"\",pages}')";
const UNPROTECT: &str = "SELECT tenancy.unprotect('{\"\\\"My Books\\\"\",pages}')";

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

/// The statements of the call that has just run.
async fn statements(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT state #>> '{}' FROM tenancy.protecting WHERE relation IS NULL ORDER BY number",
    )
    .fetch_all(connection)
    .await
}

#[tokio::test]
async fn an_owners_tables_are_what_they_were_and_can_be_protected_again() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, TABLES).await?;
        let before = catalog_of(notes).await?;
        let records = records_of(notes).await?;
        let mut protected = None;
        for _ in 0..2 {
            as_owner(notes, PROTECT).await?;
            let after = catalog_of(notes).await?;
            let first = protected.get_or_insert_with(|| after.clone());
            assert_eq!(difference(first, &after), "");
            as_owner(notes, UNPROTECT).await?;
            assert_eq!(difference(&before, &catalog_of(notes).await?), "");
            assert_eq!(records_of(notes).await?, records);
        }
        // A second call has nothing to do.
        as_owner(notes, UNPROTECT).await?;
        assert_eq!(difference(&before, &catalog_of(notes).await?), "");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_statements_that_are_told_do_what_the_call_does() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes.as_admin(TABLES).await?;
        let records = "SELECT p::text FROM tenancy.protections AS p ORDER BY 1";
        let mut admin = notes.database.admin().await?;
        admin
            .execute("BEGIN; SELECT set_config('tenancy.tells_statements', 'yes', true)")
            .await?;
        admin.execute(PROTECT).await?;
        let told = statements(&mut admin).await?;
        let by_call = catalog(&mut admin).await?;
        let recorded: Vec<String> = sqlx::query_scalar(records).fetch_all(&mut admin).await?;
        anyhow::ensure!(told.len() > 40 && recorded.len() > 40, "{told:?}");
        admin.execute("ROLLBACK; BEGIN").await?;
        for statement in told {
            admin.execute(AssertSqlSafe(statement)).await?;
        }
        assert_eq!(difference(&by_call, &catalog(&mut admin).await?), "");
        let again: Vec<String> = sqlx::query_scalar(records).fetch_all(&mut admin).await?;
        assert_eq!(difference(&recorded, &again), "");
        // And there is nothing left to do.
        admin
            .execute("SELECT set_config('tenancy.tells_statements', 'yes', true)")
            .await?;
        admin.execute(PROTECT).await?;
        assert_eq!(statements(&mut admin).await?, Vec::<String>::new());
        admin.execute("ROLLBACK").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn only_a_policy_that_was_altered_is_made_anew() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let oids = "SELECT string_agg(p.polname || ' ' || p.oid, ',' ORDER BY p.polname) FROM pg_policy AS p
            WHERE p.polrelid = 'notes'::regclass AND p.polname <> 'tenancy_guard'";
        let before = told(notes, oids).await?;
        as_owner(notes, "ALTER POLICY tenancy_guard ON notes USING (true)").await?;
        let found = "SELECT string_agg(code, ',') FROM tenancy.check() WHERE object LIKE '%notes'";
        assert_eq!(told(notes, found).await?.as_deref(), Some("guard-altered"));
        let mut admin = notes.database.admin().await?;
        admin
            .execute("SELECT set_config('tenancy.tells_statements', 'yes', false); SELECT tenancy.protect('notes')")
            .await?;
        let run = statements(&mut admin).await?;
        assert!(run.iter().any(|one| one.starts_with("CREATE POLICY tenancy_guard")), "{run:?}");
        assert!(
            run.iter().all(|one| one.contains("tenancy_guard") || one.starts_with("SELECT tenancy.re")),
            "{run:?}"
        );
        assert_eq!(told(notes, oids).await?, before);
        assert_eq!(told(notes, found).await?, None);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_was_changed_by_hand_is_named_and_left_alone() -> anyhow::Result<()> {
    for (change, named) in [
        (
            "ALTER TABLE pages DROP CONSTRAINT pages_book_fkey, ADD CONSTRAINT pages_book_fkey
                 FOREIGN KEY (tenant_id, book) REFERENCES \"My Books\" (tenant_id, id) ON DELETE RESTRICT",
            "the reference pages_book_fkey was changed",
        ),
        ("COMMENT ON CONSTRAINT titled ON \"My Books\" IS 'else'", "the key titled was changed"),
        ("ALTER TABLE pages ALTER tenant_id SET DEFAULT gen_random_uuid()", "the column tenant_id was changed"),
        ("ALTER POLICY tenancy_guard ON pages USING (true)", "the policy tenancy_guard was changed"),
        ("ALTER TABLE pages RENAME TO leaves", "its name was public.pages"),
        ("CREATE INDEX mine ON pages (tenant_id, token)", "index public.mine"),
        ("ALTER TABLE pages NO FORCE ROW LEVEL SECURITY", "the row security was changed"),
    ] {
        on_every_server(async |notes| {
            as_owner(notes, TABLES).await?;
            as_owner(notes, PROTECT).await?;
            as_owner(notes, change).await?;
            let before = catalog_of(notes).await?;
            let back = if change.contains("RENAME") { UNPROTECT.replace("pages", "leaves") } else { UNPROTECT.to_owned() };
            let said = refusal(as_owner(notes, &back).await);
            assert!(said.starts_with("can't unprotect"), "{said}");
            // What mends it is a statement.
            assert!(!said.contains("\"ddl\"") && !said.contains("{\""), "{said}");
            assert!(said.replace("public.pages", "pages").contains(&named.replace("public.pages", "pages")), "{said}");
            assert_eq!(difference(&before, &catalog_of(notes).await?), "");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn tables_that_refer_to_each_other_go_together() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, TABLES).await?;
        as_owner(notes, PROTECT).await?;
        let before = catalog_of(notes).await?;
        for (alone, other) in [("pages", "public.\"My Books\""), ("\"\\\"My Books\\\"\"", "public.pages")] {
            let said = refusal(as_owner(notes, &format!("SELECT tenancy.unprotect('{{{alone}}}')")).await);
            assert!(said.contains(other) && said.contains("stays protected"), "{said}");
            assert!(said.contains("together: SELECT tenancy.unprotect(E'{\"public.\\\\\"My Books\\\\\"\",public.pages}')"), "{said}");
        }
        let none = refusal(as_owner(notes, "SELECT tenancy.unprotect('{}')").await);
        assert!(none.contains("no table was named"), "{none}");
        assert_eq!(difference(&before, &catalog_of(notes).await?), "");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_column_that_says_whose_rows_are_whose_is_not_lost() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, "CREATE TABLE dogs (id int PRIMARY KEY); SELECT tenancy.protect('dogs')").await?;
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        let rows = format!("INSERT INTO dogs VALUES (1, '{acme}'), (2, '{globex}')");
        as_owner(notes, &rows).await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.unprotect('{dogs}')").await);
        assert!(said.contains("says whose rows are whose") && said.contains("keep_column => true"), "{said}");
        as_owner(notes, "SELECT tenancy.unprotect('{dogs}', keep_column => true)").await?;
        let column = "SELECT a.attnotnull::text || coalesce(pg_get_expr(d.adbin, d.adrelid), '') FROM pg_attribute AS a
            LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
            WHERE a.attrelid = 'dogs'::regclass AND a.attname = 'tenant_id'";
        assert_eq!(told(notes, column).await?.as_deref(), Some("false"));
        assert_eq!(told(notes, "SELECT count(*)::text FROM dogs").await?.as_deref(), Some("2"));

        // The column was there before, so that it stays; the key can't be what it was.
        as_owner(notes, "SELECT tenancy.protect('dogs')").await?;
        as_owner(notes, &format!("UPDATE dogs SET id = 1 WHERE tenant_id = '{globex}'")).await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.unprotect('{dogs}')").await);
        assert!(said.contains("its key dogs_pkey was unique across tenants"), "{said}");
        as_owner(notes, &format!("UPDATE dogs SET id = 3 WHERE tenant_id = '{globex}'")).await?;
        as_owner(notes, "SELECT tenancy.unprotect('{dogs}')").await?;
        assert_eq!(told(notes, column).await?.as_deref(), Some("false"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_tables_without_a_record_the_guard_alone_is_taken() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes.as_admin("DELETE FROM tenancy.protections").await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.unprotect('{notes}')").await);
        assert!(said.contains("kept no record") && said.contains("guard_only"), "{said}");
        // What everybody may read, the service could, with nothing between the tenants.
        as_owner(notes, "GRANT SELECT (id) ON notes TO PUBLIC").await?;
        let guard_only = "SELECT tenancy.unprotect('{notes}', guard_only => true)";
        let said = refusal(as_owner(notes, guard_only).await);
        assert!(said.contains("SELECT (id) on it as PUBLIC") && said.contains("/ REVOKE SELECT (id)"), "{said}");
        as_owner(notes, "REVOKE SELECT (id) ON notes FROM PUBLIC").await?;
        as_owner(notes, guard_only).await?;
        let left = "SELECT count(p)::text || c.relrowsecurity::text || has_table_privilege('tenancy_app', c.oid, 'SELECT')
            FROM pg_class AS c LEFT JOIN pg_policy AS p ON p.polrelid = c.oid WHERE c.oid = 'notes'::regclass GROUP BY c.oid";
        assert_eq!(told(notes, left).await?.as_deref(), Some("0falsefalse"));
        as_owner(notes, "SELECT tenancy.protect('notes')").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_record_is_not_lost_to_the_guard_alone() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let before = (catalog_of(notes).await?, records_of(notes).await?);
        let said = refusal(
            as_owner(
                notes,
                "SELECT tenancy.unprotect('{notes}', guard_only => true)",
            )
            .await,
        );
        assert!(
            said.contains("there is a record of what was before"),
            "{said}"
        );
        assert!(
            said.ends_with("SELECT tenancy.unprotect('{public.notes}')"),
            "{said}"
        );
        assert_eq!(difference(&before.0, &catalog_of(notes).await?), "");
        assert_eq!(records_of(notes).await?, before.1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_told_of_unprotecting_takes_the_records_along() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, TABLES).await?;
        let before = (catalog_of(notes).await?, records_of(notes).await?);
        as_owner(notes, PROTECT).await?;
        let mut admin = notes.database.admin().await?;
        admin
            .execute("BEGIN; SELECT set_config('tenancy.tells_statements', 'yes', true)")
            .await?;
        admin.execute(UNPROTECT).await?;
        let told = statements(&mut admin).await?;
        admin.execute("ROLLBACK").await?;
        for statement in told {
            admin.execute(AssertSqlSafe(statement)).await?;
        }
        assert_eq!(difference(&before.0, &catalog_of(notes).await?), "");
        assert_eq!(records_of(notes).await?, before.1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_column_of_ones_own_is_not_dropped_by_a_record_that_was_left() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, "CREATE TABLE dogs (id int PRIMARY KEY); SELECT tenancy.protect('dogs')").await?;
        let mut admin = notes.database.admin().await?;
        admin
            .execute("SELECT set_config('tenancy.tells_statements', 'yes', false); SELECT tenancy.unprotect('{dogs}')")
            .await?;
        let told = statements(&mut admin).await?;
        drop(admin);
        as_owner(notes, "SELECT tenancy.protect('dogs')").await?;
        // By hand, and the record stays.
        for statement in told.iter().filter(|one| !one.starts_with("SELECT tenancy.forget")) {
            notes.as_admin(statement).await?;
        }
        as_owner(notes, "ALTER TABLE dogs ADD tenant_id uuid; SELECT tenancy.protect('dogs')").await?;
        as_owner(notes, "SELECT tenancy.unprotect('{dogs}')").await?;
        let column = "SELECT a.attnotnull::text FROM pg_attribute AS a
            WHERE a.attrelid = 'dogs'::regclass AND a.attname = 'tenant_id'";
        assert_eq!(crate::told(notes, column).await?.as_deref(), Some("false"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn partitions_that_came_later_are_no_longer_protected_either() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE days (id int, tenant_id uuid) PARTITION BY RANGE (id);
             CREATE TABLE first PARTITION OF days FOR VALUES FROM (0) TO (10);
             SELECT tenancy.protect('days');
             CREATE TABLE second PARTITION OF days FOR VALUES FROM (10) TO (20);
             SELECT tenancy.protect('days');
             CREATE TABLE third PARTITION OF days FOR VALUES FROM (20) TO (30);
             CREATE TABLE fourth (id int, tenant_id uuid NOT NULL DEFAULT gen_random_uuid());
             ALTER TABLE days ATTACH PARTITION fourth FOR VALUES FROM (30) TO (40);
             SELECT tenancy.unprotect('{days}')",
        )
        .await?;
        let columns = "SELECT string_agg(concat_ws(' ', a.attrelid::regclass::text, a.attnotnull::text,
                pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attrelid::regclass::text)
            FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
            WHERE a.attname = 'tenant_id' AND a.attrelid IN (SELECT relid FROM pg_partition_tree('days'))";
        // That of the fourth was its own.
        assert_eq!(
            told(notes, columns).await?.as_deref(),
            Some("days false, first false, fourth true gen_random_uuid(), second false, third false")
        );
        let left = "SELECT count(*)::text FROM pg_class AS c LEFT JOIN pg_policy AS p ON p.polrelid = c.oid
            WHERE c.oid IN (SELECT relid FROM pg_partition_tree('days')) AND (c.relrowsecurity OR p.oid IS NOT NULL)";
        assert_eq!(told(notes, left).await?.as_deref(), Some("0"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn partitions_and_referrers_that_went_or_have_another_name_stand_in_no_way()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE days (id int PRIMARY KEY) PARTITION BY RANGE (id);
             CREATE TABLE first PARTITION OF days FOR VALUES FROM (0) TO (10);
             CREATE TABLE second PARTITION OF days FOR VALUES FROM (10) TO (20);
             CREATE TABLE hours (day int REFERENCES days);
             SELECT tenancy.protect_tables('{days,hours}');
             DROP TABLE hours; DROP TABLE first; ALTER TABLE second RENAME TO later;
             SELECT tenancy.unprotect('{days}')",
        )
        .await?;
        let keys = "SELECT string_agg(pg_get_constraintdef(k.oid), ', ') FROM pg_constraint AS k
            WHERE k.contype = 'p' AND k.conrelid IN (SELECT relid FROM pg_partition_tree('days'))";
        assert_eq!(told(notes, keys).await?.as_deref(), Some("PRIMARY KEY (id), PRIMARY KEY (id)"));
        let records = "SELECT count(*)::text FROM tenancy.protections AS p
            LEFT JOIN pg_class AS c ON c.oid = p.relation WHERE c.oid IS NULL OR c.relname IN ('days', 'later')";
        assert_eq!(told(notes, records).await?.as_deref(), Some("0"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_second_call_wrote_over_is_named() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE dogs (id int, tenant_id uuid DEFAULT gen_random_uuid()); SELECT tenancy.protect('dogs');
             ALTER TABLE dogs ALTER tenant_id SET DEFAULT '00000000-0000-0000-0000-000000000001';
             SELECT tenancy.protect('dogs')",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.unprotect('{dogs}')").await);
        assert!(said.contains("column tenant_id was changed between two calls of protect"), "{said}");
        assert!(said.contains("SET DEFAULT gen_random_uuid()"), "{said}");
        // What the hint says.
        notes
            .as_admin("UPDATE tenancy.protections SET disturbed = false WHERE relation = 'public.dogs'::regclass")
            .await?;
        as_owner(notes, "SELECT tenancy.unprotect('{dogs}')").await?;
        let default = "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d WHERE d.adrelid = 'dogs'::regclass";
        assert_eq!(told(notes, default).await?.as_deref(), Some("gen_random_uuid()"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn rows_of_one_tenant_keep_their_column_where_there_are_others() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE dogs (id int PRIMARY KEY); SELECT tenancy.protect('dogs')",
        )
        .await?;
        as_owner(
            notes,
            &format!("INSERT INTO dogs VALUES (1, '{}')", notes.acme.id),
        )
        .await?;
        assert_eq!(
            told(notes, "SELECT (count(*) > 1)::text FROM tenancy.tenants")
                .await?
                .as_deref(),
            Some("true")
        );
        let said = refusal(as_owner(notes, "SELECT tenancy.unprotect('{dogs}')").await);
        assert!(
            said.contains("rows are of one tenant, and there are others")
                && said.contains("keep_column => true"),
            "{said}"
        );
        as_owner(
            notes,
            "SELECT tenancy.unprotect('{dogs}', keep_column => true)",
        )
        .await?;
        let tenant = "SELECT tenant_id::text FROM dogs";
        assert_eq!(told(notes, tenant).await?, Some(notes.acme.id.to_string()));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_view_that_groups_by_two_keys_gets_its_text_of_before() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE books (book int PRIMARY KEY, title text);
             CREATE TABLE pages (page int PRIMARY KEY, text text);
             CREATE VIEW both_of AS SELECT book, title, page, text FROM books, pages GROUP BY books.book, pages.page",
        )
        .await?;
        let before = catalog_of(notes).await?;
        as_owner(notes, "SELECT tenancy.protect('books'); SELECT tenancy.protect('pages')").await?;
        let grouped = told(notes, "SELECT pg_get_viewdef('both_of')").await?.unwrap_or_default();
        assert!(grouped.contains("books.tenant_id, books.book, pages.tenant_id, pages.page"), "{grouped}");
        as_owner(notes, "SELECT tenancy.unprotect('{books,pages}')").await?;
        assert_eq!(difference(&before, &catalog_of(notes).await?), "");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn references_that_came_later_go_on_without_the_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE pages (page int PRIMARY KEY); SELECT tenancy.protect('pages');
             CREATE TABLE later (page int, tenant_id uuid REFERENCES tenancy.tenants, CONSTRAINT paged
                 FOREIGN KEY (tenant_id, page) REFERENCES pages (tenant_id, page) ON DELETE SET NULL (page));
             COMMENT ON CONSTRAINT paged ON later IS 'said';
             CREATE TABLE lines (line int PRIMARY KEY, tenant_id uuid, page int, CONSTRAINT lined
                 FOREIGN KEY (tenant_id, page) REFERENCES pages (tenant_id, page));
             SELECT tenancy.protect('lines');
             SELECT tenancy.unprotect('{pages,lines}')",
        )
        .await?;
        let references = "SELECT string_agg(concat_ws(' ', pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')), ', '
            ORDER BY conname) FROM pg_constraint WHERE conname IN ('paged', 'lined')";
        assert_eq!(
            told(notes, references).await?.as_deref(),
            Some("FOREIGN KEY (page) REFERENCES pages(page), FOREIGN KEY (page) REFERENCES pages(page) ON DELETE SET NULL (page) said")
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_view_is_no_table() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE VIEW seen WITH (security_invoker) AS SELECT * FROM notes",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.unprotect('{seen,notes}')").await);
        assert!(
            said.contains("public.seen is a view, and only tables are protected"),
            "{said}"
        );
        Ok(())
    })
    .await
}
