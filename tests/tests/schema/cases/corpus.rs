//! What stood in the way in the schemas of public applications, in one schema: each obstacle at least
//! once, protected in any order with the same outcome.

use sqlx::Executor as _;
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};

use super::as_tenant;
use crate::{as_owner, refusal, told};

const TABLES: [&str; 14] = [
    "accounts",
    "actors",
    "badges",
    "crates",
    "films",
    "invoices",
    "invoice_lines",
    "payments",
    "posts",
    "subscribers",
    "sync_positions",
    "teams",
    "users",
    "versions",
];

/// A single-tenant application: no table knows of tenants.
const APPLICATION: &str = "
    CREATE TABLE users (id serial PRIMARY KEY, email text NOT NULL, name text, invited_by int REFERENCES users,
        created_at timestamptz DEFAULT now());
    CREATE UNIQUE INDEX users_email ON users (lower(email));
    COMMENT ON INDEX users_email IS 'one account each';
    CREATE TABLE teams (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), slug text, owner int REFERENCES users,
        created_by int NOT NULL REFERENCES users ON DELETE RESTRICT);
    CREATE UNIQUE INDEX teams_slug ON teams (slug) WHERE slug IS NOT NULL;
    ALTER TABLE users ADD team uuid REFERENCES teams ON DELETE SET NULL;
    CREATE TABLE badges (code text, kind text, PRIMARY KEY (code, kind));
    CREATE TABLE accounts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ref text);
    CREATE UNIQUE INDEX accounts_ref ON accounts (ref);
    CREATE TABLE invoices (id bigserial PRIMARY KEY, account text REFERENCES accounts (ref) ON UPDATE CASCADE,
        number text, status text, CONSTRAINT invoices_number UNIQUE (number) DEFERRABLE INITIALLY DEFERRED);
    COMMENT ON CONSTRAINT invoices_number ON invoices IS 'printed';
    CREATE TABLE invoice_lines (id int, invoice bigint REFERENCES invoices ON DELETE CASCADE, amount numeric,
        UNIQUE (invoice, id) INCLUDE (amount));
    CREATE SEQUENCE order_numbers;
    CREATE TABLE payments (id int NOT NULL DEFAULT nextval('order_numbers'), at date NOT NULL, reference text)
        PARTITION BY RANGE (at);
    CREATE TABLE payments_2025 PARTITION OF payments FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE payments_2026 PARTITION OF payments FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE UNIQUE INDEX payments_reference ON payments (at, reference);
    CREATE TABLE actors (id int PRIMARY KEY, name text);
    CREATE TABLE films (id int PRIMARY KEY, title text, lead int REFERENCES actors, second int REFERENCES actors);
    CREATE VIEW actor_films AS SELECT a.id, a.name, count(*) AS films
        FROM actors a JOIN films f ON f.lead = a.id GROUP BY a.id;
    CREATE VIEW busy_actors AS SELECT * FROM actor_films WHERE films > 1;
    CREATE TABLE subscribers (id int UNIQUE, email text);
    CREATE TABLE posts (title text) ; CREATE TABLE crates (id int PRIMARY KEY, name text UNIQUE, updated timestamptz);
    CREATE TABLE versions (crate int REFERENCES crates, num text, UNIQUE (crate, num));
    CREATE TABLE sync_positions (lock char(1) NOT NULL DEFAULT 'X' UNIQUE CHECK (lock = 'X'), position bigint);
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO crates (id, name) VALUES (NEW.crate, 'new')
            ON CONFLICT (id) DO UPDATE SET updated = now();
        RETURN NEW;
    END $$;
    CREATE TRIGGER touch BEFORE INSERT ON versions FOR EACH ROW EXECUTE FUNCTION touch();";

async fn made(notes: &Notes) -> anyhow::Result<()> {
    as_owner(notes, APPLICATION).await?;
    for table in TABLES {
        let column = format!(
            "ALTER TABLE {table} ADD COLUMN tenant_id uuid NOT NULL DEFAULT '{}'",
            notes.acme.id
        );
        as_owner(notes, &column).await?;
    }
    Ok(())
}

/// Whatever the catalog says of keys, indexes, references and views.
const STATE: &str = "SELECT concat_ws(E'\\n',
    (SELECT string_agg(conrelid::regclass || ' ' || pg_get_constraintdef(oid), E'\\n'
        ORDER BY conrelid::regclass::text, pg_get_constraintdef(oid))
     FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
    (SELECT string_agg(pg_get_indexdef(indexrelid), E'\\n' ORDER BY pg_get_indexdef(indexrelid))
     FROM pg_index JOIN pg_class AS c ON c.oid = indrelid WHERE c.relnamespace = 'public'::regnamespace),
    (SELECT string_agg(viewname || definition, E'\\n' ORDER BY viewname) FROM pg_views WHERE schemaname = 'public'))";

#[tokio::test]
async fn every_obstacle_gets_through_in_any_order_with_the_same_outcome() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let other = Notes::start(notes.database.server()).await?;
        let mut states = Vec::new();
        let mut tables = TABLES;
        for notes in [notes, &other] {
            made(notes).await?;
            for round in 0..2 {
                for table in tables {
                    as_owner(notes, &format!("SELECT tenancy.protect('{table}')"))
                        .await
                        .map_err(|error| anyhow::anyhow!("{table}, round {round}: {error}"))?;
                }
                states.push(told(notes, STATE).await?.unwrap_or_default());
            }
            tables.reverse();
        }
        assert_eq!(states[0], states[1], "the second round changes nothing");
        assert_eq!(states[0], states[2], "nor does the order");

        let left = "SELECT string_agg(concat_ws(' ', code, subject, finding), '; ')
            FROM tenancy.relation_findings('tenancy_app')
            WHERE level = 'error' OR code IN ('foreign-key-unpaired', 'key-across-tenants')";
        assert_eq!(told(notes, left).await?, None);
        other.database.close().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_tenants_have_the_same_values_and_see_their_own() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        made(notes).await?;
        for table in TABLES {
            as_owner(notes, &format!("SELECT tenancy.protect('{table}')")).await?;
        }
        for tenant in [&notes.acme, &notes.globex] {
            for insert in [
                "INSERT INTO users (id, email) VALUES (1, 'A@b') RETURNING 'x'",
                "INSERT INTO teams (slug, created_by) VALUES ('core', 1) RETURNING 'x'",
                "INSERT INTO accounts (ref) VALUES ('r') RETURNING 'x'",
                "INSERT INTO invoices (account, number) VALUES ('r', '1') RETURNING 'x'",
                "INSERT INTO payments (at, reference) VALUES ('2026-05-05', 'r') RETURNING 'x'",
                "INSERT INTO sync_positions (position) VALUES (1) RETURNING 'x'",
                "INSERT INTO actors (id, name) VALUES (1, 'a') RETURNING 'x'",
                "INSERT INTO films (id, lead) VALUES (1, 1), (2, 1) RETURNING 'x'",
            ] {
                as_tenant(notes, tenant, insert)
                    .await
                    .map_err(|error| anyhow::anyhow!("{insert}: {error}"))?;
            }
            let again = "INSERT INTO users (email) VALUES ('a@B') RETURNING 'x'";
            assert_eq!(sqlstate(as_tenant(notes, tenant, again).await), "23505");
        }
        as_owner(notes, "SELECT tenancy.share('busy_actors')").await?;
        let busy = "SELECT films::text FROM busy_actors";
        assert_eq!(
            told(notes, "SELECT count(*)::text FROM busy_actors")
                .await?
                .as_deref(),
            Some("2")
        );
        assert_eq!(as_tenant(notes, &notes.acme, busy).await?, ["2"]);
        Ok(())
    })
    .await
}

/// What a newcomer has: empty tables, none of which knows of tenants.
#[tokio::test]
async fn one_call_protects_an_untouched_schema() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, APPLICATION).await?;
        let tables = TABLES.map(|table| format!("'{table}'")).join(", ");
        as_owner(notes, &format!("SELECT tenancy.protect_all({tables})")).await?;
        let left = "SELECT string_agg(concat_ws(' ', code, object), '; ') FROM tenancy.check()
            WHERE code <> 'on-conflict'";
        assert_eq!(told(notes, left).await?, None);
        Ok(())
    })
    .await
}

/// The calls of a newcomer, who gives no columns first.
#[tokio::test]
async fn what_has_to_be_said_first_is_named() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, APPLICATION).await?;
        as_owner(
            notes,
            "INSERT INTO badges VALUES ('a', 'b'); CREATE TABLE typed (tenant_id int)",
        )
        .await?;
        for (table, says) in [
            (
                "users",
                "Protect both in one call: SELECT tenancy.protect_all(",
            ),
            ("users", "ADD COLUMN tenant_id uuid; then protect both"),
            ("badges", "ADD COLUMN tenant_id uuid; then UPDATE every row"),
            ("typed", "RENAME COLUMN tenant_id TO former_tenant_id"),
        ] {
            let said =
                refusal(as_owner(notes, &format!("SELECT tenancy.protect('{table}')")).await);
            assert!(said.contains(says), "{table}: {said}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d34_code_that_the_tenants_column_breaks_is_named_with_its_line() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        made(notes).await?;
        as_owner(
            notes,
            "CREATE TABLE src (id int, name text);
             CREATE FUNCTION all_crates() RETURNS SETOF crates LANGUAGE sql AS 'SELECT id, name, updated, tenant_id FROM crates';
             CREATE FUNCTION all_actors() RETURNS SETOF actors LANGUAGE plpgsql AS
                 'BEGIN RETURN QUERY SELECT id, name FROM actors; END';
             CREATE FUNCTION copied() RETURNS void LANGUAGE sql AS
                 E'-- from elsewhere\\nINSERT INTO posts SELECT * FROM posts'",
        )
        .await?;
        let mut owner = notes.database.admin().await?;
        owner.execute("SET ROLE tenancy_owner").await?;
        for table in ["versions", "crates", "actors", "films", "posts"] {
            sqlx::query("SELECT tenancy.protect($1::text::regclass)").bind(table).execute(&mut owner).await?;
        }
        let said = "SELECT string_agg(concat_ws(' ', code, subject, substr(finding, 1, 7)), '; ' ORDER BY code, subject)
            FROM tenancy.code_warnings()";
        assert_eq!(
            told(notes, said).await?.as_deref(),
            Some("on-conflict public.touch() line 4:; positional-insert public.copied() line 2:; \
                 returns-row public.all_actors() line 1:")
        );
        let insert = "INSERT INTO versions (crate, num) VALUES (1, '1.0') RETURNING 'x'";
        assert_eq!(sqlstate(as_tenant(notes, &notes.acme, insert).await), "42P10", "as the warning says");
        Ok(())
    })
    .await
}
