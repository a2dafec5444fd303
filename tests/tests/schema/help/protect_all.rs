//! Several tables at once, whatever refers to what.

use tenancy_tests::notes::{Notes, on_every_server};

use crate::{as_owner, refusal, told};

/// References to the same table, in a circle, and from partitions; no table has a tenant yet.
const SHOP: &str = "
    CREATE TABLE customers (id serial PRIMARY KEY, referred_by int REFERENCES customers, favourite int);
    CREATE TABLE articles (id serial PRIMARY KEY, suggested_by int REFERENCES customers);
    ALTER TABLE customers ADD FOREIGN KEY (favourite) REFERENCES articles ON DELETE SET NULL;
    CREATE TABLE orders (id int, at date, customer int NOT NULL REFERENCES customers, UNIQUE (id, at))
        PARTITION BY RANGE (at);
    CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE lines (order_id int, at date, article int REFERENCES articles,
        FOREIGN KEY (order_id, at) REFERENCES orders (id, at));
    CREATE TABLE base (n int); CREATE TABLE heir (m int) INHERITS (base);";

/// Whatever `protect` leaves behind.
const STATE: &str = "SELECT concat_ws(E'\\n',
    (SELECT string_agg(conrelid::regclass || ' ' || pg_get_constraintdef(oid), E'\\n'
        ORDER BY conrelid::regclass::text, pg_get_constraintdef(oid))
     FROM pg_constraint WHERE connamespace = 'public'::regnamespace),
    (SELECT string_agg(concat_ws(' ', polrelid::regclass, polname), E'\\n' ORDER BY polrelid::regclass::text, polname)
     FROM pg_policy WHERE polrelid > 16384))";

/// What is not kept apart.
const LEFT: &str =
    "SELECT string_agg(concat_ws(' ', code, object, what), '; ') FROM tenancy.check()";

#[tokio::test]
async fn any_order_protects_all_with_the_same_outcome() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let other = Notes::start(notes.database.server()).await?;
        let mut states = Vec::new();
        for (notes, tables) in [
            (
                notes,
                "'customers', 'articles', 'orders', 'lines', 'base', 'heir', 'orders_2026'",
            ),
            (
                &other,
                "'heir', 'orders_2026', 'lines', 'orders', 'articles', 'customers', 'base', 'heir'",
            ),
        ] {
            as_owner(notes, SHOP).await?;
            // One at a time, parents first, it is refused.
            let alone = refusal(as_owner(notes, "SELECT tenancy.protect('customers')").await);
            assert!(alone.contains("tenant_id"), "{alone}");
            for _ in 0..2 {
                as_owner(notes, &format!("SELECT tenancy.protect_all({tables})")).await?;
                states.push(told(notes, STATE).await?);
            }
            assert_eq!(told(notes, LEFT).await?, None);
        }
        assert_eq!(states[0], states[1]);
        assert_eq!(states[0], states[2]);
        assert_eq!(states[0], states[3]);
        other.database.close().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn it_is_all_or_nothing_and_names_what_stands_in_the_way_of_which_table() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE fine (id int PRIMARY KEY);
             CREATE TABLE filled (n int REFERENCES fine); CREATE TABLE typed (tenant_id int);
             CREATE TABLE outside (n int REFERENCES fine);
             CREATE VIEW seen AS SELECT 1 AS one; INSERT INTO fine VALUES (1); INSERT INTO filled VALUES (1);
             CREATE TABLE empty (n int); DELETE FROM filled WHERE false; TRUNCATE fine CASCADE;
             INSERT INTO fine VALUES (1); INSERT INTO filled VALUES (1)",
        )
        .await?;
        let before = told(notes, STATE).await?;
        let call = "SELECT tenancy.protect_all('fine', 'filled', 'typed', 'empty', 'seen')";
        let said = refusal(as_owner(notes, call).await);
        for part in [
            "can't protect 4 of 5 tables, and so none: ",
            "public.filled, public.fine: it has rows that belong to no tenant",
            "public.typed: the column tenant_id is not of type uuid",
            "public.seen: row security exists for tables only",
            "public.filled: Say whose they are first: ALTER TABLE public.filled ADD COLUMN tenant_id uuid",
            "then UPDATE every row. (the same for public.fine)",
        ] {
            assert!(said.contains(part), "no `{part}` in {said}");
        }
        assert_eq!(told(notes, STATE).await?, before);
        let columns = "SELECT string_agg(attrelid::regclass::text, ' ') FROM pg_attribute
            WHERE attrelid IN ('fine'::regclass, 'empty'::regclass) AND attname = 'tenant_id'";
        assert_eq!(told(notes, columns).await?, None);

        // What refers to it from outside of the list.
        as_owner(notes, "TRUNCATE fine CASCADE").await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect_all('fine', 'filled')").await);
        assert!(said.contains("outside") && said.contains("1 of 2"), "{said}");
        as_owner(notes, "SELECT tenancy.protect_all('fine', 'filled', 'outside')").await?;

        for call in ["protect_all(NULL)", "protect_tables('{}')"] {
            let said = refusal(as_owner(notes, &format!("SELECT tenancy.{call}")).await);
            assert!(said.contains("no table was named"), "{call}: {said}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_options_of_protect_hold_for_all() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE boards (id int PRIMARY KEY, token text CONSTRAINT board_token UNIQUE);
             CREATE TABLE cards (board int REFERENCES boards, token text CONSTRAINT card_token UNIQUE);
             SELECT tenancy.protect_tables('{boards,cards}', 'org_id', project => true, global => '{card_token}')",
        )
        .await?;
        let scopes = "SELECT concat_ws(' ', tenancy.scope_columns('boards'::regclass),
            tenancy.scope_columns('cards'::regclass))";
        assert_eq!(
            told(notes, scopes).await?.as_deref(),
            Some("{org_id,project_id} {org_id,project_id}")
        );
        let keys = "SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), '; ' ORDER BY conname)
            FROM pg_constraint WHERE contype = 'u' AND conname LIKE '%token'";
        assert_eq!(
            told(notes, keys).await?.as_deref(),
            Some("board_token UNIQUE (org_id, project_id, token); card_token UNIQUE (token)")
        );
        let unknown = "SELECT tenancy.protect_tables('{boards}', global => '{board_tokens}')";
        let said = refusal(as_owner(notes, unknown).await);
        assert!(said.contains("board_tokens") && said.contains("spelling"), "{said}");
        Ok(())
    })
    .await
}

/// While one of them is not protected yet, PostgreSQL would follow its key past the guard of the other.
#[tokio::test]
async fn tables_that_cascade_in_a_circle_are_protected_together() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE orgs (id serial PRIMARY KEY, options int);
             CREATE TABLE options (id serial PRIMARY KEY, org int REFERENCES orgs ON DELETE CASCADE);
             ALTER TABLE orgs ADD FOREIGN KEY (options) REFERENCES options ON DELETE CASCADE",
        )
        .await?;
        as_owner(notes, "SELECT tenancy.protect_all('orgs', 'options')").await?;
        assert_eq!(told(notes, LEFT).await?, None);

        // What stays open around one of them is refused all the same, and in the same transaction.
        as_owner(notes, "CREATE TABLE a (n int); CREATE TABLE b (n int)").await?;
        notes
            .as_admin("CREATE VIEW shown AS SELECT * FROM b; GRANT SELECT ON shown TO tenancy_app")
            .await?;
        let call = "SELECT tenancy.protect_all('a', 'b')";
        let said = refusal(as_owner(notes, call).await);
        assert!(said.contains("1 of 2") && said.contains("public.shown"), "{said}");
        let alone = format!("DO $$ BEGIN PERFORM tenancy.protect_all('a'); PERFORM tenancy.protect('b'); END $$; {call}");
        let said = refusal(as_owner(notes, &alone).await);
        assert!(said.contains("can't protect public.b") && said.contains("public.shown"), "{said}");
        Ok(())
    })
    .await
}
