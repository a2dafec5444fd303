//! Nothing is changed without an author: neither a tenant nor a key.

use tenancy_core::{TenantContext, Tenancy, TenantId};

async fn nobodys(tenancy: &Tenancy, context: TenantContext, tenant: TenantId) {
    let _ = tenancy.admin().suspend(tenant).await;
    let _ = tenancy.admin(context).suspend(tenant).await;
    let _ = tenancy.keys().unwrap().revoke_tenant(tenant).await;
}

fn main() {}
