//! A context is proof of an admission; nobody else can make one.

fn main() {
    let _ = tenancy_core::TenantContext::new();
    let _ = tenancy_core::TenantContext { whole: (), engine: () };
}
