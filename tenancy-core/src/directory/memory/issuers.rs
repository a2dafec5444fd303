//! Issuers in memory.

use async_trait::async_trait;

use super::{MemoryDirectory, list::page};
use crate::{
    ChangeRecord, DirectoryError, IssuerDirectory, IssuerRecord, IssuerStore, StoreError,
    StoreErrorKind, TenantId,
};

#[async_trait]
impl IssuerDirectory for MemoryDirectory {
    async fn find_issuer(&self, issuer: &str) -> Result<Option<IssuerRecord>, DirectoryError> {
        Ok(self.read().issuers.get(issuer).cloned())
    }
}

#[async_trait]
impl IssuerStore for MemoryDirectory {
    async fn put_issuer(
        &self,
        issuer: &IssuerRecord,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        issuer.check()?;
        self.change(record, |state| {
            state.tenant(issuer.tenant)?;
            let known = state.issuers.get(&issuer.issuer);
            if known.is_some_and(|known| known.tenant != issuer.tenant) {
                let taken = format!("the issuer `{}` is taken", issuer.issuer);
                return Err(StoreError::new(StoreErrorKind::Conflict, taken));
            }
            state.issuers.insert(issuer.issuer.clone(), issuer.clone());
            Ok(())
        })
    }

    async fn remove_issuer(
        &self,
        tenant: TenantId,
        issuer: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(tenant)?;
            let known = state.issuers.get(issuer);
            if known.is_some_and(|known| known.tenant == tenant) {
                state.issuers.remove(issuer);
            }
            Ok(())
        })
    }

    async fn list_issuers(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<IssuerRecord>, StoreError> {
        let state = self.read();
        let own = state.issuers.values().filter(|one| one.tenant == tenant);
        Ok(page(own, |one| one.issuer.as_str(), after, limit))
    }
}
