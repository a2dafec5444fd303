//! A tenant pool gives no way to the connections underneath, and runs no query without a tenant.

use tenancy_sqlx::TenantPool;

fn raw(pool: &TenantPool) -> &sqlx::PgPool {
    pool
}

async fn without_a_tenant(pool: &TenantPool) {
    let _ = sqlx::query("SELECT 1").execute(pool).await;
}

async fn acquired(pool: &TenantPool) {
    let _ = pool.acquire().await;
}

fn main() {}
