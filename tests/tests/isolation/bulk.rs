//! Bulk inserts under row security.

use sqlx::types::Uuid;
use tenancy_sqlx::{BulkInsert, ErrorKind, TenantPoolOptions};
use tenancy_tests::notes::{on_every_server, sqlstate};

#[tokio::test]
async fn ten_thousand_rows_are_all_the_own_tenants() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let inserted = pool
            .with(&notes.context(&notes.acme), async |tx| {
                BulkInsert::into_table("public.notes")
                    .column("body", (0..10_000).map(|n| format!("bulk {n}")).collect())
                    .column("stars", (0..10_000).collect::<Vec<i32>>())
                    .column("notebook_id", vec![None::<Uuid>; 10_000])
                    .execute(tx)
                    .await
            })
            .await?;

        assert_eq!(inserted, 10_000);
        assert_eq!(notes.count("notes", &notes.acme).await?, 10_003);
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn columns_that_do_not_fit_together_insert_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        let body = |n: usize| vec!["x".to_owned(); n];

        let uneven = BulkInsert::into_table("notes")
            .column("body", body(2))
            .column("stars", vec![1]);
        let error = uneven.execute(&mut tx).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BulkShape);
        assert!(
            error
                .to_string()
                .contains("`body` has 2 values and `stars` has 1")
        );

        let none = BulkInsert::into_table("notes").execute(&mut tx).await;
        assert_eq!(none.unwrap_err().kind(), ErrorKind::BulkShape);

        let empty = BulkInsert::into_table("notes").column("body", body(0));
        assert_eq!(empty.execute(&mut tx).await?, 0);
        tx.commit().await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_bulk_insert_can_not_name_another_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        let mixed = BulkInsert::into_table("notes")
            .column("body", vec!["own".to_owned(), "foreign".to_owned()])
            .column(
                "tenant_id",
                vec![notes.acme.id.as_uuid(), notes.globex.id.as_uuid()],
            );

        assert_eq!(sqlstate(mixed.execute(&mut tx).await), "42501");
        tx.rollback().await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        Ok(())
    })
    .await
}
