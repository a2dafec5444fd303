//! `protect` and `share` look at what is around a table.

use tenancy_tests::notes::on_every_server;

use super::as_tenant;
use crate::{as_owner, refusal, told};

#[tokio::test]
async fn d4_an_open_parent_of_protected_rows_is_refused_in_any_order() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE base (n int); CREATE TABLE n () INHERITS (base); SELECT tenancy.share('base')",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('n')").await);
        assert!(said.contains("base"), "{said}");
        as_owner(
            notes,
            "CREATE TABLE base2 (n int); CREATE TABLE n2 () INHERITS (base2); SELECT tenancy.protect('n2')",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.share('base2')").await);
        assert!(said.contains("n2"), "{said}");
        // Both guarded is fine.
        as_owner(notes, "SELECT tenancy.protect('base2'), tenancy.protect('n2')").await?;
        as_tenant(notes, &notes.globex, "INSERT INTO n2 VALUES (1) RETURNING 'x'").await?;
        assert_eq!(as_tenant(notes, &notes.globex, "SELECT 'x' FROM base2").await?.len(), 1);
        assert_eq!(as_tenant(notes, &notes.acme, "SELECT 'x' FROM base2").await?.len(), 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d5_what_leads_to_protected_rows_or_carries_tenants_is_not_shared() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE MATERIALIZED VIEW totals AS SELECT tenant_id, count(*) FROM notes GROUP BY 1;
             CREATE MATERIALIZED VIEW sums AS SELECT count(*) FROM notes;
             CREATE VIEW over_sums AS SELECT * FROM sums;
             CREATE TABLE filled (tenant_id uuid, n int);
             CREATE TABLE ev (n int) PARTITION BY RANGE (n); SELECT tenancy.protect('ev');
             CREATE TABLE ev_new PARTITION OF ev FOR VALUES FROM (0) TO (9)",
        )
        .await?;
        notes
            .as_admin(
                "CREATE VIEW by_superuser AS SELECT * FROM notes;
                 CREATE FOREIGN DATA WRAPPER w; CREATE SERVER loopback FOREIGN DATA WRAPPER w;
                 CREATE FOREIGN TABLE far (body text) SERVER loopback OPTIONS (table_name 'notes');
                 ALTER FOREIGN TABLE far OWNER TO tenancy_owner",
            )
            .await?;
        for relation in ["totals", "sums", "over_sums", "filled", "ev_new", "far"] {
            let said = as_owner(notes, &format!("SELECT tenancy.share('{relation}')")).await;
            assert!(said.is_err(), "{relation} was shared");
            let open =
                format!("SELECT has_table_privilege('tenancy_app', '{relation}', 'SELECT')::text");
            assert_eq!(
                told(notes, &open).await?.as_deref(),
                Some("false"),
                "{relation}"
            );
            let said = refusal(said);
            assert!(said.contains(relation) && !said.ends_with("/ "), "{said}");
        }
        // A superuser's view becomes the owner's, whom the guard binds; nobody else may give it away.
        let said = refusal(as_owner(notes, "SELECT tenancy.share('by_superuser')").await);
        assert!(said.contains("by_superuser"), "{said}");
        notes
            .as_admin("SELECT tenancy.share('by_superuser')")
            .await?;
        let own = as_tenant(notes, &notes.acme, "SELECT body FROM by_superuser").await?;
        assert_eq!(own.len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d6_sharing_is_reading_whatever_was_granted_before() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE countries (code text); GRANT ALL ON countries TO tenancy_app;
             GRANT INSERT, UPDATE (code) ON countries TO PUBLIC; SELECT tenancy.share('countries')",
        )
        .await?;
        let may = "SELECT concat_ws(' ', has_table_privilege('tenancy_app', 'countries', 'SELECT'),
            has_any_column_privilege('tenancy_app', 'countries', 'INSERT, UPDATE, REFERENCES'),
            has_table_privilege('tenancy_app', 'countries', 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER'))";
        assert_eq!(told(notes, may).await?.as_deref(), Some("t f f"));

        let group = format!("writers_{}", uuid::Uuid::now_v7().simple());
        notes.as_admin(&format!("CREATE ROLE {group}; GRANT {group} TO tenancy_app")).await?;
        as_owner(notes, &format!("CREATE TABLE units (u text); GRANT SELECT, INSERT ON units TO {group}")).await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.share('units')").await);
        notes.as_admin(&format!("DROP OWNED BY {group}; DROP ROLE {group}")).await?;
        assert!(said.contains(&format!("REVOKE INSERT ON public.units FROM {group}")), "{said}");
        Ok(())
    })
    .await
}
