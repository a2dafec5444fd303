//! What the logins that serve tenants can't do with the tables of operators.

use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection};
use tenancy_core::{
    Clock as _, Impersonation, ImpersonationDigest, ImpersonationStore as _, Operator,
    OperatorRole, OperatorStore as _, StartTerms, SystemClock, testing::unattributed,
};
use tenancy_tests::notes::{PASSWORD, on_every_server, sqlstate};

#[tokio::test]
async fn no_login_of_tenants_reads_operators_or_makes_an_impersonation() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mia = Operator::new("https://staff", notes.bob, "Mia", [OperatorRole::Support]);
        notes.directory.put_operator(&mia, &unattributed()).await?;
        let now = SystemClock.now();
        let until = now + std::time::Duration::from_secs(60);
        let whose = [(&notes.acme, notes.alice), (&notes.globex, notes.bob)];
        for ((tenant, user), number) in whose.into_iter().zip(1..) {
            let one = Impersonation::new(mia.id, (tenant.id, user), "a test", (now, until));
            let digest = ImpersonationDigest::new([number; 32]);
            let record = unattributed();
            notes.directory.start_impersonation(&one, &digest, StartTerms::new(9), &record).await?;
        }
        for role in ["tenancy_app", "tenancy_registry", "tenancy_audit"] {
            let options = notes.database.options_as(role, Some(PASSWORD));
            let mut login: PgConnection = options.connect().await?;
            let name = format!(
                "SELECT set_config('tenancy.tenant_id', '{}', false)",
                notes.acme.id
            );
            login.execute(AssertSqlSafe(name)).await?;
            for forbidden in [
                "SELECT id FROM tenancy.operators",
                "UPDATE tenancy.operators SET disabled = false",
                "DELETE FROM tenancy.operators",
                "SELECT digest FROM tenancy.impersonations",
                "INSERT INTO tenancy.impersonations SELECT * FROM tenancy.impersonations",
                "UPDATE tenancy.impersonations SET approved_by = operator_id",
                "UPDATE tenancy.impersonations SET until = now() + '1 day', ends_at = now() + '1 day'",
                "DELETE FROM tenancy.impersonations",
            ] {
                let state = sqlstate(login.execute(forbidden).await);
                assert_eq!(state, "42501", "{role}: {forbidden}");
            }
            if role != "tenancy_registry" {
                let state = sqlstate(login.execute("SELECT id FROM tenancy.impersonations").await);
                assert_eq!(state, "42501", "{role}");
                continue;
            }
            // Of two there are, a tenant sees and ends its own; and nobody undoes an end.
            let end = "UPDATE tenancy.impersonations SET ended_at = now()";
            let ended = login.execute(end).await?.rows_affected();
            assert_eq!(ended, 1);
            let undo = "UPDATE tenancy.impersonations SET ended_at = NULL";
            assert_eq!(sqlstate(login.execute(undo).await), "23000");
        }
        let still = notes.directory.list_impersonations(Some(notes.globex.id), None, 9).await?;
        assert!(still.iter().all(|one| one.ended_at.is_none()) && still.len() == 1);
        Ok(())
    })
    .await
}
