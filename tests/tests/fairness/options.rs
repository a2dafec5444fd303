//! Options that no pool can keep to.

use tenancy_sqlx::{Share, StartErrorKind, TenantPoolOptions};
use tenancy_tests::notes::on_every_server;

#[tokio::test]
async fn options_that_leave_a_tenant_no_connection_are_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let options = || TenantPoolOptions::new().max_connections(4);
        for (options, names) in [
            (options().max_connections(0), "max_connections"),
            (options().min_connections(5), "min_connections"),
            (options().turn_length(0), "turn_length"),
            (
                options().max_connections_per_tenant(0),
                "max_connections_per_tenant",
            ),
            (
                options().max_connections_per_tenant(5),
                "max_connections_per_tenant",
            ),
            (options().plan_share("pro", Share::new().weight(0)), "`pro`"),
            (
                options().plan_share("pro", Share::new().max_connections(0)),
                "plan `pro`",
            ),
            (
                options().plan_share("pro", Share::new().max_connections(5)),
                "plan `pro`",
            ),
            (
                options()
                    .plan_share("pro", Share::new())
                    .plan_share("pro", Share::new().weight(2)),
                "two shares",
            ),
        ] {
            let refused = options
                .connect_with(notes.app_options(), &notes.tenancy)
                .await
                .unwrap_err();
            assert_eq!(refused.kind(), StartErrorKind::BadOptions, "{refused}");
            assert!(refused.to_string().contains(names), "{refused}");
        }
        let whole = options().min_connections(4).max_connections_per_tenant(4);
        notes.pool(whole.turn_length(1)).await?;
        Ok(())
    })
    .await
}
