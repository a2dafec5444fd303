//! Whether the service can do its work.

use std::fmt;

use tenancy_core::Tenancy;

use crate::Error;

/// The body of a good answer, of type `application/json`.
pub const READY_BODY: &str = r#"{"status":"ready"}"#;

/// Everything a service depends on, to be asked by an orchestrator.
#[derive(Clone)]
#[must_use = "a check does nothing until it is called"]
pub struct Readiness {
    tenancy: Tenancy,
    #[cfg(feature = "sqlx")]
    pool: Option<tenancy_sqlx::TenantPool>,
}

impl Readiness {
    /// Asks the tenant directory.
    pub fn new(tenancy: &Tenancy) -> Self {
        Self {
            tenancy: tenancy.clone(),
            #[cfg(feature = "sqlx")]
            pool: None,
        }
    }

    /// Also asks the database, and whether it still keeps tenants apart.
    #[cfg(feature = "sqlx")]
    pub fn pool(mut self, pool: &tenancy_sqlx::TenantPool) -> Self {
        self.pool = Some(pool.clone());
        self
    }

    /// Asks past the caches.
    ///
    /// # Errors
    /// What does not answer.
    pub async fn check(&self) -> Result<(), Error> {
        self.tenancy.ready().await?;
        #[cfg(feature = "sqlx")]
        if let Some(pool) = &self.pool {
            pool.ready().await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("tenancy", &self.tenancy)
            .finish_non_exhaustive()
    }
}
