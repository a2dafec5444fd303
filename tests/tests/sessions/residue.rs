//! What a session keeps beyond a transaction is gone for the next borrower.

use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{
    notes::on_every_server,
    residue::{RESIDUE, left_behind},
};

#[tokio::test]
async fn nothing_is_left_for_the_next_borrower() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for (leave, count) in RESIDUE {
            // Without the reset, it leaves something to be tidied up.
            for &reset in notes.resets() {
                let options = TenantPoolOptions::new()
                    .max_connections(1)
                    .reset_session(reset);
                let pool = notes.pool(options).await?;
                let (left, same) = left_behind(notes, [&pool, &pool], leave, count).await?;
                assert_eq!((left > 0, same), (!reset, true), "{leave}, reset {reset}");
                pool.close().await;
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_role_that_was_taken_on_is_taken_off() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let role = format!("{}_clerk", notes.database.name());
        let make = format!("CREATE ROLE {role}; GRANT {role} TO tenancy_app");
        notes.as_admin(&make).await?;
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;

        let set_role = format!("SET SESSION ROLE {role}");
        let count = "SELECT (current_user <> 'tenancy_app')::int::bigint";
        let left = left_behind(notes, [&pool, &pool], &set_role, count).await;
        pool.close().await;
        notes.as_admin(&format!("DROP ROLE {role}")).await?;

        assert_eq!(left?, (0, true));
        Ok(())
    })
    .await
}
