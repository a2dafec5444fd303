//! An authority is proof of who acts; nobody can make one up.

use tenancy_core::{Authority, TenantContext};

fn made_up(context: TenantContext) {
    let _ = Authority { who: context, reason: None };
    let _ = Authority::from(context);
}

fn main() {}
