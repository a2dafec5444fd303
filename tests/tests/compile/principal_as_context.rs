//! Who is calling is not yet for whom: a verified principal opens no database.

use tenancy_core::Principal;
use tenancy_sqlx::TenantPool;

async fn skipped(pool: &TenantPool, principal: &Principal) {
    let _ = pool.begin(principal).await;
}

fn main() {}
