//! What a random schema is made of, statement by statement.

use tenancy_tests::Random;

/// A statement and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) role: &'static str,
    pub(super) sql: String,
}

const OWNER: &str = "tenancy_owner";
const ADMIN: &str = "none";

/// The names that a schema has so far.
pub(super) struct Schema {
    pub(super) tables: Vec<String>,
    relations: Vec<String>,
    functions: u64,
    /// Whether a superuser makes careless things, too.
    careless: bool,
}

fn chance(random: &mut Random, of: u64) -> bool {
    random.below(of) == 0
}

fn pick(random: &mut Random, list: &[String]) -> String {
    random
        .one_of(list)
        .cloned()
        .unwrap_or_else(|| "t0".to_owned())
}

fn one<'a>(random: &mut Random, list: &[&'a str]) -> &'a str {
    random.one_of(list).copied().unwrap_or_default()
}

impl Schema {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            tables: Vec::new(),
            relations: Vec::new(),
            functions: 0,
            careless: chance(random, 4),
        }
    }

    fn maker(&self, random: &mut Random) -> &'static str {
        if self.careless && chance(random, 4) {
            ADMIN
        } else {
            OWNER
        }
    }

    /// Tables, and what stands around them before anything is protected.
    pub(super) fn make(&mut self, random: &mut Random) -> Vec<Statement> {
        let mut made = Vec::new();
        for number in 0..2 + random.below(4) {
            self.table(random, number, &mut made);
        }
        for _ in 0..random.below(8) {
            let statement = self.around(random);
            made.push(statement);
        }
        made
    }

    /// Each table is protected, shared or left alone; views may be shared.
    pub(super) fn calls(&self, random: &mut Random) -> Vec<Statement> {
        let mut calls = Vec::new();
        let mut order = self.relations.clone();
        while !order.is_empty() {
            let at = usize::try_from(random.below(order.len() as u64)).unwrap_or(0);
            let name = order.swap_remove(at);
            let call = match random.below(6) {
                0 => continue,
                1 => format!("SELECT tenancy.share('{name}')"),
                2 if chance(random, 3) => format!("SELECT tenancy.protect('{name}', 'org_id')"),
                3 if chance(random, 6) => {
                    format!("SELECT tenancy.protect('{name}', project => true)")
                }
                _ => format!("SELECT tenancy.protect('{name}')"),
            };
            calls.push(Statement {
                role: self.maker(random),
                sql: call,
            });
        }
        calls
    }

    /// Migrations of a later day, by the owner.
    pub(super) fn later(&mut self, random: &mut Random) -> Vec<Statement> {
        let mut later = Vec::new();
        for number in 0..random.below(6) {
            let table = pick(random, &self.tables);
            let other = pick(random, &self.tables);
            let statement = match random.below(16) {
                0 => format!(
                    "CREATE TABLE late{number} PARTITION OF {table} FOR VALUES FROM (500) TO (600)"
                ),
                1 => format!("ALTER TABLE {table} INHERIT {other}"),
                2 => format!("ALTER TABLE {table} NO INHERIT {other}"),
                3 => format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"),
                4 => format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"),
                5 => format!(
                    "DROP POLICY {} ON {table}",
                    one(
                        random,
                        &["tenancy_guard", "tenancy_owner_guard", "tenancy_allow"]
                    )
                ),
                6 => format!(
                    "ALTER POLICY {} ON {table} USING (true)",
                    one(random, &["tenancy_guard", "tenancy_owner_guard"])
                ),
                // Of a table that is not protected, nobody could know afterwards which column it is.
                7 => format!(
                    "DO $$ BEGIN IF tenancy.scope_columns('rs.{table}'::regclass) <> '{{}}' THEN
                         ALTER TABLE {table} RENAME COLUMN tenant_id TO company; END IF; END $$"
                ),
                8 => format!("ALTER TABLE {table} ADD COLUMN extra{number} int UNIQUE"),
                9 => format!("SELECT tenancy.protect('{table}')"),
                10 => format!("ALTER TABLE {table} DETACH PARTITION {table}_p0"),
                11 => format!("CREATE TABLE kin{number} () INHERITS ({table})"),
                _ => {
                    let around = self.around(random);
                    later.push(Statement {
                        role: OWNER,
                        sql: around.sql,
                    });
                    continue;
                }
            };
            later.push(Statement {
                role: OWNER,
                sql: statement,
            });
        }
        later
    }

    fn table(&mut self, random: &mut Random, number: u64, made: &mut Vec<Statement>) {
        let name = format!("t{number}");
        let role = self.maker(random);
        let tenant = match random.below(5) {
            0 => "",
            1 => ", org_id uuid",
            _ => ", tenant_id uuid",
        };
        let columns = format!("id int NOT NULL, secret text, up int{tenant}");
        let mut push = |sql: String| made.push(Statement { role, sql });
        match random.below(5) {
            0 => {
                push(format!(
                    "CREATE TABLE {name} ({columns}) PARTITION BY RANGE (id)"
                ));
                push(format!(
                    "CREATE TABLE {name}_p0 PARTITION OF {name} FOR VALUES FROM (0) TO (50)"
                ));
                if chance(random, 2) {
                    push(format!(
                        "CREATE TABLE {name}_p1 PARTITION OF {name} FOR VALUES FROM (50) TO (500) PARTITION BY RANGE (id)"
                    ));
                    push(format!(
                        "CREATE TABLE {name}_p1a PARTITION OF {name}_p1 FOR VALUES FROM (50) TO (500)"
                    ));
                    self.relations.push(format!("{name}_p1a"));
                }
                self.relations.push(format!("{name}_p0"));
            }
            1 if number > 0 => {
                let parent = pick(random, &self.tables);
                push(format!("CREATE TABLE {name} () INHERITS ({parent})"));
            }
            _ => push(format!("CREATE TABLE {name} ({columns})")),
        }
        let key = match random.below(6) {
            0 => format!("ALTER TABLE {name} ADD PRIMARY KEY (id)"),
            1 => format!("ALTER TABLE {name} ADD UNIQUE (id, secret)"),
            2 => format!("CREATE UNIQUE INDEX ON {name} (id)"),
            3 => format!("CREATE UNIQUE INDEX ON {name} (id, lower(secret)) WHERE up IS NULL"),
            4 => format!("ALTER TABLE {name} ADD UNIQUE (id) DEFERRABLE"),
            _ => String::new(),
        };
        if !key.is_empty() {
            push(key);
        }
        if number > 0 && chance(random, 2) {
            let target = pick(random, &self.tables);
            let action = one(
                random,
                &[
                    "",
                    " ON DELETE CASCADE",
                    " ON DELETE SET NULL",
                    " NOT VALID",
                    " MATCH FULL",
                ],
            );
            push(format!(
                "ALTER TABLE {name} ADD FOREIGN KEY (up) REFERENCES {target} (id){action}"
            ));
        }
        self.relations.push(name.clone());
        self.tables.push(name);
    }

    /// A view, function, trigger, grant or policy.
    fn around(&mut self, random: &mut Random) -> Statement {
        let role = self.maker(random);
        let relation = pick(random, &self.relations);
        let table = pick(random, &self.tables);
        let number = self.relations.len();
        let sql = match random.below(12) {
            0..=2 => {
                let options = one(
                    random,
                    &[
                        "",
                        "",
                        " WITH (security_invoker)",
                        " WITH (security_barrier)",
                    ],
                );
                let second = pick(random, &self.relations);
                let query = if chance(random, 3) {
                    format!("SELECT x.id, x.secret FROM {relation} AS x, {second} AS y")
                } else if chance(random, 4) {
                    format!("SELECT id, max(secret) AS secret FROM {relation} GROUP BY id")
                } else {
                    format!("SELECT id, secret FROM {relation}")
                };
                let grant = one(
                    random,
                    &[
                        "",
                        "GRANT SELECT ON v# TO tenancy_app",
                        "GRANT SELECT, UPDATE, DELETE, INSERT ON v# TO tenancy_app",
                        "SELECT tenancy.share('v#')",
                    ],
                );
                self.relations.push(format!("v{number}"));
                format!(
                    "CREATE VIEW v{number}{options} AS {query}; {}",
                    grant.replace('#', &number.to_string())
                )
            }
            3 => {
                let grant = one(
                    random,
                    &[
                        "",
                        "GRANT SELECT ON m# TO tenancy_app",
                        "SELECT tenancy.share('m#')",
                    ],
                );
                self.relations.push(format!("m{number}"));
                format!(
                    "CREATE MATERIALIZED VIEW m{number} AS SELECT id, secret FROM {relation}; {}",
                    grant.replace('#', &number.to_string())
                )
            }
            4 | 5 => {
                self.functions += 1;
                let name = format!("f{}", self.functions);
                let security = one(
                    random,
                    &["SECURITY DEFINER", "SECURITY DEFINER", "SECURITY INVOKER"],
                );
                let body = if chance(random, 2) {
                    format!("LANGUAGE sql AS 'SELECT secret FROM rs.{relation}'")
                } else {
                    format!(
                        "LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT secret FROM rs.{relation}; END'"
                    )
                };
                let revoke = if chance(random, 4) {
                    format!("; REVOKE ALL ON FUNCTION {name}() FROM PUBLIC")
                } else {
                    String::new()
                };
                format!("CREATE FUNCTION {name}() RETURNS SETOF text {security} {body}{revoke}")
            }
            6 => {
                self.functions += 1;
                let name = format!("g{}", self.functions);
                let security = one(random, &["SECURITY DEFINER", "SECURITY INVOKER"]);
                format!(
                    "CREATE FUNCTION {name}() RETURNS trigger {security} LANGUAGE plpgsql AS
                         'BEGIN UPDATE rs.{relation} SET secret = secret || ''!''; RETURN NULL; END';
                     CREATE TRIGGER {name} AFTER INSERT OR UPDATE ON {table} FOR EACH STATEMENT
                         WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION {name}()"
                )
            }
            7 | 8 => {
                let what = one(
                    random,
                    &[
                        "SELECT",
                        "SELECT, INSERT, UPDATE",
                        "ALL",
                        "TRUNCATE",
                        "DELETE",
                        "REFERENCES",
                        "SELECT (secret)",
                        "UPDATE (secret)",
                    ],
                );
                let whom = one(
                    random,
                    &["tenancy_app", "tenancy_app", "PUBLIC", "rs_group"],
                );
                format!("GRANT {what} ON {relation} TO {whom}")
            }
            9 => format!("REVOKE UPDATE, DELETE ON {relation} FROM tenancy_app"),
            _ => {
                let kind = one(random, &["PERMISSIVE", "PERMISSIVE", "RESTRICTIVE"]);
                let whom = one(random, &["PUBLIC", "tenancy_app", "tenancy_owner"]);
                format!(
                    "CREATE POLICY p{number}{} ON {table} AS {kind} TO {whom} USING (secret <> '')",
                    random.below(1000)
                )
            }
        };
        Statement { role, sql }
    }
}
