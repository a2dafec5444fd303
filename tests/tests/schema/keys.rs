//! Keys of a protected table hold within a tenant, and references stay within it.

use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};

use crate::{as_owner, refusal, told};

/// The constraints of a table, one a line, without the reference to the tenant itself.
async fn constraints(notes: &Notes, table: &str) -> anyhow::Result<String> {
    let sql = format!(
        "SELECT string_agg(pg_get_constraintdef(oid), E'\\n' ORDER BY contype DESC, conname)
         FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype IN ('p', 'u', 'f')
             AND confrelid <> 'tenancy.tenants'::regclass"
    );
    Ok(told(notes, &sql).await?.unwrap_or_default())
}

#[tokio::test]
async fn keys_begin_with_the_tenant_and_keep_what_else_they_say() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE keyed (id int PRIMARY KEY, a int, b int, c int,
                 UNIQUE (a, b) DEFERRABLE INITIALLY DEFERRED,
                 UNIQUE NULLS NOT DISTINCT (b),
                 UNIQUE (c) INCLUDE (a));
             SELECT tenancy.protect('keyed')",
        )
        .await?;
        assert_eq!(
            constraints(notes, "keyed").await?,
            "UNIQUE (tenant_id, a, b) DEFERRABLE INITIALLY DEFERRED\n\
             UNIQUE NULLS NOT DISTINCT (tenant_id, b)\n\
             UNIQUE (tenant_id, c) INCLUDE (a)\n\
             PRIMARY KEY (tenant_id, id)"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn references_pair_the_tenant_whichever_table_is_protected_first() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for (order, columns) in [
            (["parents", "children"], ""),
            (["children", "parents"], ", tenant_id uuid"),
            (["parents", "children"], ", tenant_id uuid"),
        ] {
            let make = format!(
                "DROP TABLE IF EXISTS children, parents;
                 CREATE TABLE parents (id int PRIMARY KEY{columns});
                 CREATE TABLE children (
                     id int PRIMARY KEY,
                     parent_id int REFERENCES parents ON DELETE SET NULL,
                     strict_id int NOT NULL REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE,
                     tenant_id uuid);
                 SELECT tenancy.protect('{}'); SELECT tenancy.protect('{}')",
                order[0], order[1]
            );
            as_owner(notes, &make).await?;
            assert_eq!(
                constraints(notes, "children").await?,
                "PRIMARY KEY (tenant_id, id)\n\
                 FOREIGN KEY (tenant_id, parent_id) REFERENCES parents(tenant_id, id) \
                 ON DELETE SET NULL (parent_id)\n\
                 FOREIGN KEY (tenant_id, strict_id) REFERENCES parents(tenant_id, id) \
                 ON UPDATE CASCADE ON DELETE CASCADE",
                "{order:?} {columns}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_reference_does_on_delete_stays_within_the_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE parents (id int PRIMARY KEY);
             SELECT tenancy.protect('parents');
             CREATE TABLE loose (n int, parent_id int, tenant_id uuid,
                 FOREIGN KEY (tenant_id, parent_id) REFERENCES parents (tenant_id, id)
                     ON DELETE SET NULL (parent_id));
             CREATE TABLE bound (n int, parent_id int, tenant_id uuid,
                 FOREIGN KEY (tenant_id, parent_id) REFERENCES parents (tenant_id, id)
                     ON DELETE CASCADE);
             SELECT tenancy.protect('loose'), tenancy.protect('bound')",
        )
        .await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        for tenant in [&notes.acme, &notes.globex] {
            let db = pool.tenant(&notes.context(tenant))?;
            for insert in [
                "INSERT INTO parents VALUES (1)",
                "INSERT INTO loose VALUES (1, 1)",
                "INSERT INTO bound VALUES (1, 1)",
            ] {
                sqlx::query(insert).execute(&db).await?;
            }
        }
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        sqlx::query("DELETE FROM parents").execute(&acme).await?;

        assert_eq!(notes.count("loose", &notes.acme).await?, 1);
        assert_eq!(notes.count("bound", &notes.acme).await?, 0);
        assert_eq!(notes.count("bound", &notes.globex).await?, 1);
        let kept = told(notes, "SELECT count(parent_id)::text FROM loose").await?;
        assert_eq!(kept.as_deref(), Some("1"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_table_may_refer_to_itself() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE);
             SELECT tenancy.protect('tree'); SELECT tenancy.protect('tree')",
        )
        .await?;
        assert_eq!(
            constraints(notes, "tree").await?,
            "PRIMARY KEY (tenant_id, id)\n\
             FOREIGN KEY (tenant_id, up) REFERENCES tree(tenant_id, id) ON DELETE CASCADE"
        );
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let globex = pool.tenant(&notes.context(&notes.globex))?;
        sqlx::query("INSERT INTO tree VALUES (1, NULL), (2, 1)")
            .execute(&globex)
            .await?;
        let acme = pool.tenant(&notes.context(&notes.acme))?;
        let foreign = sqlx::query("INSERT INTO tree VALUES (3, 1)")
            .execute(&acme)
            .await;
        assert_eq!(sqlstate(foreign), "23503");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_referrer_without_a_tenant_is_an_error_that_says_what_to_do() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let make = "CREATE TABLE parents (id int PRIMARY KEY);
            CREATE TABLE children (parent_id int REFERENCES parents)";
        as_owner(notes, make).await?;
        let told = refusal(as_owner(notes, "SELECT tenancy.protect('parents')").await);
        assert!(
            told.contains("children refers to it and has no tenant"),
            "{told}"
        );
        assert!(
            told.contains("ALTER TABLE public.children ADD COLUMN tenant_id uuid"),
            "{told}"
        );
        Ok(())
    })
    .await
}

/// The tenant is merely carried along, so that uniqueness spans tenants, and it can't be both.
#[tokio::test]
async fn a_unique_index_that_includes_the_tenant_is_an_error_that_says_what_to_do()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE people (email text, tenant_id uuid);
             CREATE UNIQUE INDEX emails ON people (email) INCLUDE (tenant_id)",
        )
        .await?;
        let told = refusal(as_owner(notes, "SELECT tenancy.protect('people')").await);
        assert!(told.contains("emails spans tenants"), "{told}");
        assert!(
            told.contains("with tenant_id as its first column"),
            "{told}"
        );
        as_owner(
            notes,
            "DROP INDEX emails; CREATE UNIQUE INDEX emails ON people (tenant_id, lower(email));
             SELECT tenancy.protect('people')",
        )
        .await?;
        Ok(())
    })
    .await
}

/// Both tables have rows already: an application that is adopted.
#[tokio::test]
async fn rows_that_refer_to_another_tenants_are_found_when_tables_are_protected()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let make = format!(
            "CREATE TABLE parents (id int PRIMARY KEY, tenant_id uuid);
             CREATE TABLE children (parent_id int REFERENCES parents, tenant_id uuid);
             INSERT INTO parents VALUES (1, '{}'); INSERT INTO children VALUES (1, '{}');
             SELECT tenancy.protect('children')",
            notes.acme.id, notes.globex.id
        );
        as_owner(notes, &make).await?;
        let protect = as_owner(notes, "SELECT tenancy.protect('parents')").await;
        assert_eq!(sqlstate(protect), "23503");

        let mend = format!("UPDATE children SET tenant_id = '{}'", notes.acme.id);
        notes.as_admin(&mend).await?;
        as_owner(notes, "SELECT tenancy.protect('parents')").await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        for (tenant, rows) in [(&notes.acme, 1), (&notes.globex, 0)] {
            let db = pool.tenant(&notes.context(tenant))?;
            let pairs = sqlx::query("SELECT FROM children NATURAL JOIN parents");
            assert_eq!(pairs.fetch_all(&db).await?.len(), rows);
        }
        Ok(())
    })
    .await
}
