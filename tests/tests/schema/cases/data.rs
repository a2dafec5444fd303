//! Rows and columns that are there already.

use tenancy_core::TenantRecord;
use tenancy_tests::notes::{on_every_server, sqlstate};

use super::as_tenant;
use crate::{as_owner, refusal, told};

#[tokio::test]
async fn d26_rows_that_policies_of_the_applications_own_hide_are_looked_at_too()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let unknown = TenantRecord::new("nobody".parse()?, "Nobody").id;
        as_owner(
            notes,
            &format!(
                "CREATE TABLE forced (n int, tenant_id uuid); INSERT INTO forced VALUES (1, '{unknown}');
                 ALTER TABLE forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
                 CREATE POLICY own ON forced USING (n = 2);
                 CREATE TABLE bare (n int); INSERT INTO bare VALUES (1);
                 ALTER TABLE bare ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
            ),
        )
        .await?;
        let protect = as_owner(notes, "SELECT tenancy.protect('forced')").await;
        assert_eq!(sqlstate(protect), "23503");
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('forced')").await);
        assert!(said.contains("a tenant or project that does not exist"), "{said}");
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('bare')").await);
        assert!(said.contains("rows that belong to no tenant"), "{said}");
        let forced = "SELECT relforcerowsecurity::text FROM pg_class WHERE relname = 'forced'";
        assert_eq!(told(notes, forced).await?.as_deref(), Some("true"), "it is as it was");

        notes.as_admin(&format!("UPDATE forced SET tenant_id = '{}'", notes.acme.id)).await?;
        as_owner(notes, "SELECT tenancy.protect('forced')").await?;
        // Its own policy lets nobody past the guard, and ours lets the tenant at its rows.
        assert_eq!(as_tenant(notes, &notes.acme, "SELECT n::text FROM forced").await?, ["1"]);
        assert_eq!(as_tenant(notes, &notes.globex, "SELECT n::text FROM forced").await?.len(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d27_messages_name_the_object_and_the_mend() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE typed (tenant_id int);
             CREATE TABLE made (n uuid, tenant_id uuid GENERATED ALWAYS AS (n) STORED);
             CREATE TABLE own_policy (n int, tenant_id uuid);
             CREATE TABLE including (email text, tenant_id uuid);
             CREATE UNIQUE INDEX emails ON including (email) INCLUDE (tenant_id)",
        )
        .await?;
        notes
            .as_admin("CREATE EXTENSION pgcrypto; CREATE TABLE its (n int); ALTER EXTENSION pgcrypto ADD TABLE its")
            .await?;
        for (table, says) in [
            ("typed", "RENAME COLUMN tenant_id TO former_tenant_id"),
            ("made", "the column tenant_id is generated"),
            ("its", "belongs to the extension pgcrypto"),
            ("including", "with tenant_id as its first column"),
        ] {
            let said = refusal(as_owner(notes, &format!("SELECT tenancy.protect('{table}')")).await);
            assert!(said.contains(says), "{table}: {said}");
        }
        Ok(())
    })
    .await
}
