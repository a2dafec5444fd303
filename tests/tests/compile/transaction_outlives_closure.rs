//! The transaction of a closure can't be kept for later.

use tenancy_core::TenantContext;
use tenancy_sqlx::{Error, TenantPool, TenantTx};

async fn smuggled(pool: &TenantPool, context: &TenantContext) -> Result<(), Error> {
    let mut kept: Option<&mut TenantTx> = None;
    pool.with(context, async |tx| {
        kept = Some(tx);
        Ok::<_, Error>(())
    })
    .await
}

fn main() {}
