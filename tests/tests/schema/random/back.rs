//! Random schemas, protected and unprotected again: the catalog is what it was.

use tenancy_tests::{Random, Server, catalog::difference, long, notes::Notes, seed};

use super::{
    grammar::{Schema, Statement},
    world::World,
};

/// How many schemas, over all servers.
fn schemas() -> u64 {
    if long() { 1_500 } else { 24 }
}

/// What happened, for the reader and against an empty test.
#[derive(Debug, Default)]
struct Counts {
    /// Tables that were protected and unprotected, and schemas in which no table could be protected.
    tables: usize,
    refused: u64,
    /// Schemas that were protected by the statements which a call has told.
    told: u64,
    /// Objects that protecting had changed.
    changed: usize,
}

#[tokio::test]
async fn what_was_protected_and_unprotected_is_what_it_was() -> anyhow::Result<()> {
    let seed = seed()?;
    let servers = Server::all().await?;
    let each = schemas().div_ceil(servers.len() as u64);
    for server in servers {
        let notes = Notes::start(&server).await?;
        let mut counts = Counts::default();
        for number in 0..each {
            let mut random = Random::new(seed.wrapping_mul(7_000_003).wrapping_add(number));
            let mut world = World::begin(&notes).await?;
            there_and_back(&mut random, &mut world, &mut counts)
                .await
                .map_err(|error| {
                    error.context(format!(
                        "TENANCY_SEED={seed}, schema {number}:\n{}",
                        world.story()
                    ))
                })?;
            world.end().await?;
        }
        println!(
            "PostgreSQL {}: {each} schemas, {counts:?}",
            server.version_num().await?
        );
        anyhow::ensure!(
            counts.refused * 2 < each && counts.told > each / 8,
            "only few schemas can be protected: {counts:?}"
        );
        notes.database.close().await?;
    }
    Ok(())
}

async fn there_and_back(
    random: &mut Random,
    world: &mut World,
    counts: &mut Counts,
) -> anyhow::Result<()> {
    let mut schema = Schema::new(random);
    for statement in schema.make(random) {
        world.try_run(&statement).await?;
    }
    for number in 0..random.below(10) {
        let adorned = adorned(random, &schema.tables, number);
        world.try_run(&adorned).await?;
    }
    let before = world.catalog().await?;
    let all = admin(
        "SELECT tenancy.protect_tables(ARRAY(SELECT c.oid::regclass FROM pg_class AS c WHERE c.relkind IN ('r', 'p')
             AND NOT c.relispartition AND c.relnamespace = 'rs'::regnamespace))"
            .to_owned(),
    );
    match world.foretell(&all).await? {
        // The statements that are told do what the call does.
        Some((foretold, statements)) => {
            for statement in statements {
                let run = admin(statement);
                anyhow::ensure!(
                    world.try_run(&run).await?,
                    "a statement that was told fails"
                );
            }
            let difference = difference(&foretold, &world.catalog().await?);
            anyhow::ensure!(
                difference.is_empty(),
                "what was told did otherwise:\n{difference}"
            );
            counts.told += 1;
        }
        None => {
            for table in &schema.tables {
                let alone = admin(format!("SELECT tenancy.protect('{table}')"));
                world.try_run(&alone).await?;
            }
        }
    }
    let protected = world
        .texts(
            "SELECT c.oid::regclass::text FROM pg_class AS c
             WHERE c.relnamespace = 'rs'::regnamespace AND tenancy.scope_columns(c.oid) <> '{}'
                 AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid
                     AND tenancy.scope_columns(i.inhparent) <> '{}')",
        )
        .await?;
    if protected.is_empty() {
        counts.refused += 1;
        anyhow::ensure!(
            world.catalog().await? == before,
            "a refusal changed something"
        );
        return Ok(());
    }
    counts.tables += protected.len();
    counts.changed += difference(&before, &world.catalog().await?).lines().count();
    let quoted: Vec<_> = protected
        .iter()
        .map(|name| format!("'{}'::regclass", name.replace('\'', "''")))
        .collect();
    let back = admin(format!(
        "SELECT tenancy.unprotect(ARRAY[{}])",
        quoted.join(", ")
    ));
    anyhow::ensure!(world.try_run(&back).await?, "unprotecting is refused");
    let difference = difference(&before, &world.catalog().await?);
    anyhow::ensure!(
        difference.is_empty(),
        "what is not as it was:\n{difference}"
    );
    let left = world
        .texts(
            "SELECT named || ' ' || kind FROM tenancy.protections WHERE named LIKE 'rs.%'
             UNION ALL SELECT kind FROM tenancy.protecting",
        )
        .await?;
    anyhow::ensure!(left.is_empty(), "records are left: {left:?}");
    Ok(())
}

fn admin(sql: String) -> Statement {
    Statement { role: "none", sql }
}

/// What protecting has to keep, and unprotecting to bring back.
fn adorned(random: &mut Random, tables: &[String], number: u64) -> Statement {
    let any = |random: &mut Random| random.one_of(tables).cloned().unwrap_or_default();
    let (table, other) = (any(random), any(random));
    let indexes = |what: &str| {
        format!(
            "DO $$ DECLARE i record; BEGIN FOR i IN SELECT k.oid::regclass AS index, k.relname FROM pg_index AS x
                 JOIN pg_class AS k ON k.oid = x.indexrelid WHERE x.indrelid = 'rs.{table}'::regclass
             LOOP EXECUTE {what}; END LOOP; END $$"
        )
    };
    admin(match random.below(17) {
        0 => format!("COMMENT ON TABLE {table} IS 'said'; COMMENT ON COLUMN {table}.id IS 'it''s'"),
        1 => format!(
            "DO $$ DECLARE k name; BEGIN FOR k IN SELECT conname FROM pg_constraint
                 WHERE conrelid = 'rs.{table}'::regclass AND contype <> 'n'
             LOOP EXECUTE format('COMMENT ON CONSTRAINT %I ON rs.{table} IS %L', k, 'about ' || k); END LOOP; END $$"
        ),
        2 => indexes("format('COMMENT ON INDEX %s IS %L', i.index, 'about ' || i.relname)"),
        3 => indexes("format('ALTER INDEX %s SET (fillfactor = 70)', i.index)"),
        4 => indexes("format('ALTER TABLE rs.T CLUSTER ON %I', i.relname)").replace("rs.T", &format!("rs.{table}")),
        5 => format!("ALTER TABLE {table} ALTER id SET DEFAULT 7, ALTER secret SET NOT NULL"),
        6 => format!(
            "GRANT SELECT (id), UPDATE (id) ON {table} TO PUBLIC; GRANT TRUNCATE ON {table} TO tenancy_app;
             GRANT UPDATE ON {table} TO rs_group WITH GRANT OPTION"
        ),
        7 => format!("GRANT USAGE, CREATE ON SCHEMA rs TO rs_group; ALTER TABLE {table} OWNER TO rs_group"),
        8 => format!(
            "CREATE UNIQUE INDEX same{number} ON {table} (id); ALTER TABLE {table} ALTER id SET NOT NULL;
             ALTER TABLE {table} REPLICA IDENTITY USING INDEX same{number}"
        ),
        9 => format!(
            "CREATE SEQUENCE drawn{number}; ALTER TABLE {table} ALTER id SET DEFAULT nextval('drawn{number}')"
        ),
        10 => format!(
            "ALTER TABLE {table} ADD CONSTRAINT \"to {other} {number}\" FOREIGN KEY (up) REFERENCES {other} (id)
                 ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
             COMMENT ON CONSTRAINT \"to {other} {number}\" ON {table} IS 'a reference'"
        ),
        11 => format!(
            "CREATE TABLE \"Odd \"\"{number}\" (id serial, \"Up\" int, named text COLLATE \"C\" UNIQUE,
                 PRIMARY KEY (id) INCLUDE (\"Up\"), EXCLUDE USING btree (\"Up\" WITH =) WHERE (\"Up\" > 0),
                 FOREIGN KEY (\"Up\") REFERENCES \"Odd \"\"{number}\" (id));
             CREATE UNIQUE INDEX \"odd {number}\" ON \"Odd \"\"{number}\" (lower(named), (id + 1)) WHERE named <> '('"
        ),
        12 => format!("ALTER TABLE {table} ALTER tenant_id SET DEFAULT gen_random_uuid()"),
        13 => format!("ALTER TABLE {table} ALTER tenant_id SET NOT NULL"),
        14 => format!("CREATE UNIQUE INDEX ON {table} (up) NULLS NOT DISTINCT"),
        15 => format!("CREATE PUBLICATION told{number} FOR TABLE {table} (id, up) WHERE (id > 1)"),
        _ => format!(
            "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             CREATE VIEW counted{number} AS SELECT id, secret, count(*) AS n FROM {table} GROUP BY {table}.id"
        ),
    })
}
