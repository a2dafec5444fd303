//! A transaction that has been committed is gone.

use tenancy_sqlx::TenantTx;

async fn late(mut tx: TenantTx) {
    tx.commit().await.unwrap();
    let _ = sqlx::query("SELECT 1").execute(&mut *tx).await;
}

fn main() {}
