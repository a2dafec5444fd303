//! A table of accounts of the whole service: each tenant sees those of its active members.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tenancy_core::TenantRecord;
use tenancy_sqlx::{
    TenantPoolOptions,
    schema::{Installer, SealWay},
};
use tenancy_tests::notes::{MIGRATIONS, Notes, on_every_server, on_every_server_sealed, sqlstate};

use crate::{as_owner, install::STATE, logins::Login, refusal, told};

const USERS: &str = "
    CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE,
        password_hash text NOT NULL DEFAULT 'x');
    SELECT tenancy.share_with_members('users', 'id', columns => '{id,email}');";

/// Alice is a member of acme, Bob of globex, Carol of both. Mallory is invited to acme, and Trent is
/// suspended there; nobody knows Eve.
async fn accounts(notes: &Notes) -> anyhow::Result<()> {
    let (alice, bob) = (notes.alice, notes.bob);
    let (acme, globex) = (notes.acme.id, notes.globex.id);
    notes
        .as_admin(&format!(
            "INSERT INTO users (id, email) VALUES ('{alice}', 'alice'), ('{bob}', 'bob');
             INSERT INTO users (email) VALUES ('carol'), ('mallory'), ('trent'), ('eve');
             INSERT INTO tenancy.memberships (tenant_id, user_id, role, status)
                 SELECT '{acme}'::uuid, id, 'member', 'active' FROM users WHERE email = 'carol'
                 UNION ALL SELECT '{globex}', id, 'member', 'active' FROM users WHERE email = 'carol'
                 UNION ALL SELECT '{acme}', id, 'member', 'invited' FROM users WHERE email = 'mallory'
                 UNION ALL SELECT '{acme}', id, 'member', 'suspended' FROM users WHERE email = 'trent'"
        ))
        .await
}

/// What a tenant's own statement says, through the service's pool.
async fn seen(notes: &Notes, tenant: &TenantRecord, sql: &str) -> anyhow::Result<Vec<String>> {
    let pool = notes.pool(TenantPoolOptions::new()).await?;
    let db = pool.tenant(&notes.context(tenant))?;
    let rows = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&db)
        .await;
    pool.close().await;
    Ok(rows?)
}

async fn each_tenant_sees_its_members(seal: Option<SealWay>) -> anyhow::Result<()> {
    on_every_server_sealed(seal, async |notes| {
        as_owner(notes, USERS).await?;
        accounts(notes).await?;
        // All of them are there.
        let there = "SELECT string_agg(email, ' ' ORDER BY email) FROM users";
        assert_eq!(
            told(notes, there).await?.as_deref(),
            Some("alice bob carol eve mallory trent")
        );

        let emails = "SELECT email FROM users ORDER BY email";
        assert_eq!(seen(notes, &notes.acme, emails).await?, ["alice", "carol"]);
        assert_eq!(seen(notes, &notes.globex, emails).await?, ["bob", "carol"]);
        for named in [
            format!("SELECT email FROM users WHERE id = '{}'", notes.bob),
            "SELECT email FROM users WHERE email = 'bob'".to_owned(),
            "SELECT u.email FROM tenancy.memberships AS m JOIN users AS u ON u.id = m.user_id
             WHERE u.email NOT IN ('alice', 'carol')"
                .to_owned(),
        ] {
            assert_eq!(seen(notes, &notes.acme, &named).await?, [""; 0], "{named}");
        }

        // What becomes of a membership counts for the next statement.
        let leave = format!(
            "UPDATE tenancy.memberships SET status = 'suspended' WHERE tenant_id = '{}' AND user_id = '{}'",
            notes.acme.id, notes.alice
        );
        notes.as_admin(&leave).await?;
        assert_eq!(seen(notes, &notes.acme, emails).await?, ["carol"]);

        // Outside of a tenant there is nothing to see.
        let mut app = notes.app().await?;
        assert_eq!(app.fetch_all("SELECT id FROM users").await?.len(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn each_tenant_sees_the_accounts_of_its_active_members_alone() -> anyhow::Result<()> {
    each_tenant_sees_its_members(None).await
}

#[tokio::test]
async fn so_it_does_in_sessions_sealed_by_the_parameter() -> anyhow::Result<()> {
    each_tenant_sees_its_members(Some(SealWay::Parameter)).await
}

#[tokio::test]
async fn so_it_does_in_sessions_sealed_by_rows() -> anyhow::Result<()> {
    each_tenant_sees_its_members(Some(SealWay::Row)).await
}

#[tokio::test]
async fn no_tenant_writes_an_account_or_reads_what_was_not_shared() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, USERS).await?;
        accounts(notes).await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        for sql in [
            "SELECT password_hash FROM users",
            "SELECT email FROM users WHERE password_hash = 'x'",
            "UPDATE users SET email = 'x' WHERE email = 'carol'",
            "DELETE FROM users WHERE email = 'carol'",
            "INSERT INTO users (email) VALUES ('zoe')",
            "TRUNCATE users",
        ] {
            assert_eq!(
                sqlstate(sqlx::query(sql).execute(&db).await),
                "42501",
                "{sql}"
            );
        }
        pool.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_policy_that_somebody_adds_opens_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, USERS).await?;
        accounts(notes).await?;
        as_owner(notes, "CREATE POLICY careless ON users USING (true)").await?;
        let emails = "SELECT email FROM users ORDER BY email";
        assert_eq!(seen(notes, &notes.acme, emails).await?, ["alice", "carol"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn sign_up_is_a_login_that_manages_all_accounts_and_nothing_else() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let login = Login::make(notes, "", "").await?;
        as_owner(
            notes,
            &format!(
                "CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text UNIQUE, n serial);
                 SELECT tenancy.share_with_members('users', managed_by => '{}')",
                login.name
            ),
        )
        .await?;
        accounts(notes).await?;
        let mut signing_up = PgConnection::connect_with(&login.options).await?;
        signing_up
            .execute("INSERT INTO users (email) VALUES ('zoe')")
            .await?;
        signing_up
            .execute("UPDATE users SET email = 'Zoe' WHERE email = 'zoe'")
            .await?;
        assert_eq!(signing_up.fetch_all("SELECT FROM users").await?.len(), 7);
        let notes_of_tenants = signing_up.execute("SELECT * FROM notes").await;
        assert_eq!(sqlstate(notes_of_tenants), "42501");
        signing_up.close().await?;
        // The service starts beside it.
        assert_eq!(seen(notes, &notes.acme, "SELECT 'x' FROM users").await?.len(), 2);
        login.remove(notes).await
    })
    .await
}

#[tokio::test]
async fn sign_in_by_a_function_of_the_owner_is_named_unless_it_says_what_it_does()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, USERS).await?;
        as_owner(
            notes,
            "CREATE FUNCTION account_of(address text) RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER
                 SET search_path = public, pg_temp AS 'SELECT id FROM users WHERE email = address'",
        )
        .await?;
        accounts(notes).await?;
        let found = "SELECT string_agg(code || ' ' || object, '; ') FROM tenancy.check()";
        assert_eq!(
            told(notes, found).await?.as_deref(),
            Some("definer-reads-unguarded public.account_of(text)")
        );
        as_owner(
            notes,
            "COMMENT ON FUNCTION account_of(text) IS 'For sign-in. [tenancy: looks across tenants]'",
        )
        .await?;
        assert_eq!(told(notes, found).await?, None);
        let mut app = notes.app().await?;
        let bob: Option<uuid::Uuid> = sqlx::query_scalar("SELECT account_of('bob')")
            .fetch_one(&mut app)
            .await?;
        assert_eq!(bob, Some(notes.bob.as_uuid()));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_index_serves_a_tenants_statements_however_many_accounts_there_are() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        as_owner(notes, USERS).await?;
        accounts(notes).await?;
        notes
            .as_admin(
                "INSERT INTO users (email) SELECT 'user ' || n FROM generate_series(1, 20000) AS n;
                 ANALYZE users; ANALYZE tenancy.memberships",
            )
            .await?;
        for query in [
            "SELECT id, email FROM users",
            "SELECT id FROM users WHERE email = 'carol'",
            "SELECT id FROM users WHERE lower(email) = 'carol'",
            "SELECT n.id, u.email FROM notes AS n JOIN users AS u ON u.id = n.notebook_id",
        ] {
            let plan = seen(notes, &notes.acme, &format!("EXPLAIN {query}"))
                .await?
                .join("\n");
            assert!(!plan.contains("Seq Scan on users"), "{query}:\n{plan}");
            assert!(
                plan.contains("users_pkey") || plan.contains("users_email_key"),
                "{plan}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_stands_in_the_way_is_named_with_its_mend() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE numbered (id serial PRIMARY KEY); CREATE TABLE loose (id uuid);
             CREATE TABLE users (id uuid PRIMARY KEY, uid uuid UNIQUE);
             CREATE TABLE theirs (id uuid PRIMARY KEY, tenant_id uuid);
             CREATE TABLE parts (id uuid PRIMARY KEY) PARTITION BY HASH (id);
             CREATE TABLE part PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        )
        .await?;
        for (call, says) in [
            ("'notes'", "it is protected"),
            ("'numbered'", "ADD COLUMN user_id uuid NOT NULL UNIQUE"),
            ("'loose'", "ALTER TABLE public.loose ADD UNIQUE (id)"),
            ("'loose', 'uid'", "has no column uid"),
            ("'users', columns => '{id,mail}'", "has no column mail"),
            (
                "'users', managed_by => 'nobody_knows'",
                "CREATE ROLE nobody_knows LOGIN",
            ),
            ("'users', managed_by => 'tenancy_app'", "a role of its own"),
            ("'theirs'", "it has a tenant column"),
            ("'part'", "it inherits"),
            ("NULL", "no table was named"),
        ] {
            let call = format!("SELECT tenancy.share_with_members({call})");
            let said = refusal(as_owner(notes, &call).await);
            assert!(said.contains(says), "{call}: {said}");
        }
        as_owner(
            notes,
            "SELECT tenancy.share_with_members('users', 'uid'), tenancy.share_with_members('users'),
                 tenancy.share_with_members('parts')",
        )
        .await?;
        for (call, says) in [
            ("share_with_members('users', 'id')", "uid names them"),
            ("protect('users')", "accounts of the whole service"),
            ("share('users')", "it is protected"),
        ] {
            let said = refusal(as_owner(notes, &format!("SELECT tenancy.{call}")).await);
            assert!(said.contains(says), "{call}: {said}");
        }
        // The hint takes it back.
        as_owner(
            notes,
            "ALTER TABLE users DISABLE ROW LEVEL SECURITY; REVOKE ALL ON users FROM tenancy_app;
             DROP POLICY tenancy_members ON users; DROP POLICY tenancy_members_guard ON users;
             DROP POLICY tenancy_system ON users; SELECT tenancy.protect('users')",
        )
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn calling_it_again_and_installing_again_change_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, USERS).await?;
        let before = told(notes, STATE).await?;
        as_owner(
            notes,
            "SELECT tenancy.share_with_members('users'), tenancy.share_with_members('users', 'id')",
        )
        .await?;
        let mut admin = notes.database.admin().await?;
        Installer::new().run_on(&mut admin, &MIGRATIONS).await?;
        assert_eq!(told(notes, STATE).await?, before);
        // What was revoked stays so, and other columns are said anew.
        as_owner(notes, "REVOKE SELECT ON users FROM tenancy_app; SELECT tenancy.share_with_members('users')").await?;
        let may = "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = 'users'::regclass AND has_column_privilege('tenancy_app', attrelid, attnum, 'SELECT')
                AND attnum > 0";
        assert_eq!(told(notes, may).await?, None);
        as_owner(notes, "SELECT tenancy.share_with_members('users', columns => '{email}')").await?;
        assert_eq!(told(notes, may).await?.as_deref(), Some("email"));
        Ok(())
    })
    .await
}

/// A row that refers to an account stays one tenant's, and deleting the account is the account's login's.
#[tokio::test]
async fn a_protected_table_may_refer_to_accounts() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            &format!(
                "{USERS} CREATE TABLE posts (author uuid REFERENCES users ON DELETE CASCADE, body text);
                 SELECT tenancy.protect('posts')"
            ),
        )
        .await?;
        accounts(notes).await?;
        let insert = format!("INSERT INTO posts VALUES ('{}', 'b') RETURNING body", notes.alice);
        assert_eq!(seen(notes, &notes.acme, &insert).await?, ["b"]);
        let joined = "SELECT u.email FROM posts AS p JOIN users AS u ON u.id = p.author";
        assert_eq!(seen(notes, &notes.acme, joined).await?, ["alice"]);
        assert_eq!(seen(notes, &notes.globex, joined).await?, [""; 0]);

        // To members alone, where that is said.
        as_owner(
            notes,
            "ALTER TABLE posts ADD FOREIGN KEY (tenant_id, author) REFERENCES tenancy.memberships (tenant_id, user_id);
             SELECT tenancy.protect('posts')",
        )
        .await?;
        let left = "SELECT string_agg(concat_ws(' ', code, object, what), '; ') FROM tenancy.check()";
        assert_eq!(told(notes, left).await?, None);
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        for (author, code) in [(notes.alice, "none"), (notes.bob, "23503")] {
            let insert = sqlx::query("INSERT INTO posts VALUES ($1, 'c')").bind(author.as_uuid());
            let done = insert.execute(&db).await;
            assert_eq!(if done.is_ok() { "none".into() } else { sqlstate(done) }, code);
        }
        pool.close().await;
        Ok(())
    })
    .await
}
