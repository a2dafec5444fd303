//! A login for reports, which reads every tenant's rows of some tables and writes none.

use sqlx::{Connection as _, PgConnection};
use tenancy_tests::notes::{on_every_server, sqlstate};

use crate::{Service, ask};

const COUNT: &str = "SELECT count(*) FROM notes";

#[tokio::test]
async fn a_reporting_login_reads_every_tenant_and_changes_nothing_for_the_service()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let service = Service::over(notes.database.admin_options()).await?;
        let both = (notes.alice, notes.bob);
        let options = notes.database.admin_options();
        service.keeps_apart(options.clone(), both).await?;
        let name = format!("reporting_{}", uuid::Uuid::now_v7().simple());
        // A migration of the application: as the owner of the table.
        notes
            .as_admin(&format!(
                "CREATE ROLE {name} LOGIN;
                 SET ROLE tenancy_owner;
                 GRANT SELECT ON notes TO {name};
                 CREATE POLICY reporting ON notes FOR SELECT TO {name} USING (true)"
            ))
            .await?;
        let mut reporting =
            PgConnection::connect_with(&notes.database.options_as(&name, None)).await?;
        assert_eq!(ask::<i64>(&mut reporting, COUNT).await?, 8);
        for refused in [
            "DELETE FROM notes",
            "SELECT FROM notebooks",
            "SELECT FROM tenancy.memberships",
        ] {
            let done = sqlx::query(refused).execute(&mut reporting).await;
            assert_eq!(sqlstate(done), "42501", "{refused}");
        }
        service.keeps_apart(options, both).await?;
        reporting.close().await?;
        notes
            .as_admin(&format!("DROP OWNED BY {name}; DROP ROLE {name}"))
            .await
    })
    .await
}
