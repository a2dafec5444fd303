//! What the service needs beside the table itself.

use tenancy_tests::notes::on_every_server;

use super::as_tenant;
use crate::{as_owner, refusal};

#[tokio::test]
async fn d14_schema_and_sequences_are_opened_or_the_grant_is_named() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "CREATE SEQUENCE order_no; CREATE SCHEMA billing;
                 CREATE TABLE billing.orders (id serial, n bigint DEFAULT nextval('order_no'));
                 GRANT USAGE, CREATE ON SCHEMA billing TO tenancy_owner;
                 ALTER TABLE billing.orders OWNER TO tenancy_owner",
            )
            .await?;
        let protect = "SELECT tenancy.protect('billing.orders')";
        let said = refusal(as_owner(notes, protect).await);
        assert!(
            said.contains("GRANT USAGE ON SCHEMA billing TO tenancy_app"),
            "{said}"
        );
        notes
            .as_admin("GRANT USAGE ON SCHEMA billing TO tenancy_app, tenancy_system")
            .await?;
        let said = refusal(as_owner(notes, protect).await);
        assert!(
            said.contains("GRANT USAGE ON SEQUENCE public.order_no TO tenancy_app"),
            "{said}"
        );

        // An administrator may grant both, and so it is done.
        notes
            .as_admin("REVOKE USAGE ON SCHEMA billing FROM tenancy_app, tenancy_system")
            .await?;
        notes.as_admin(protect).await?;
        let insert = "INSERT INTO billing.orders DEFAULT VALUES RETURNING n::text";
        assert_eq!(as_tenant(notes, &notes.acme, insert).await?, ["1"]);
        Ok(())
    })
    .await
}
