//! What an engine needs to know about API keys.

use std::sync::Arc;

#[cfg(feature = "argon2")]
use super::ImportedKeys;
use super::{KeyDirectory, KeyFormat, KeyHasher, KeyStore};
use crate::{ConfigError, CredentialSource, StoreError, StoreErrorKind};

/// API keys of one service: their format, how they are hashed, and where they are kept.
///
/// Given to [`TenancyBuilder::keys`](crate::TenancyBuilder::keys). Keys arrive as
/// `Authorization: Bearer <key>`, beside tokens: the brand tells them apart.
///
/// ```
/// use tenancy_core::{
///     MemoryDirectory, Tenancy,
///     key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, Pepper},
/// };
///
/// let directory = MemoryDirectory::new();
/// let format = KeyFormat::new("acme", Environment::Live)?;
/// let hasher = HmacKeyHasher::new(Pepper::new(1, [0x5c; 32])?); // from your secret store
/// let keys = ApiKeys::new(format, hasher, directory.clone()).header("x-api-key");
/// let tenancy = Tenancy::builder(directory).keys(keys).build()?;
/// assert!(tenancy.keys().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ApiKeys {
    pub(crate) format: KeyFormat,
    pub(crate) hasher: Arc<dyn KeyHasher>,
    pub(crate) directory: Arc<dyn KeyDirectory>,
    /// What writes keys; `None` where they are only read.
    store: Option<Arc<dyn KeyStore>>,
    /// Where keys come from, beside `Authorization: Bearer`.
    pub(crate) sources: Vec<CredentialSource>,
    #[cfg(feature = "argon2")]
    pub(crate) imported: Option<ImportedKeys>,
}

impl ApiKeys {
    /// Keys of this format, hashed so, in this store.
    ///
    /// # Security
    /// The store must be the engine's directory, or a part of it: caches hear of a revocation
    /// through the directory's feed.
    pub fn new(
        format: KeyFormat,
        hasher: impl KeyHasher + 'static,
        store: impl KeyStore + 'static,
    ) -> Self {
        let store = Arc::new(store);
        Self {
            store: Some(Arc::clone(&store) as Arc<dyn KeyStore>),
            ..Self::over(format, Arc::new(hasher), store)
        }
    }

    /// Keys of this format, hashed so, in a directory that only finds them: for a service whose keys are
    /// issued elsewhere.
    ///
    /// [`Tenancy::keys`](crate::Tenancy::keys) is an error then. When keys are used is not noted, and no digest
    /// is replaced by one under a newer pepper.
    ///
    /// # Security
    /// As for [`new`](Self::new).
    pub fn read_only(
        format: KeyFormat,
        hasher: impl KeyHasher + 'static,
        directory: impl KeyDirectory + 'static,
    ) -> Self {
        Self::over(format, Arc::new(hasher), Arc::new(directory))
    }

    fn over(
        format: KeyFormat,
        hasher: Arc<dyn KeyHasher>,
        directory: Arc<dyn KeyDirectory>,
    ) -> Self {
        Self {
            format,
            hasher,
            directory,
            store: None,
            sources: Vec::new(),
            #[cfg(feature = "argon2")]
            imported: None,
        }
    }

    /// Takes keys from this header field too, such as `x-api-key`; may be called for several.
    /// Default: none.
    ///
    /// A request with both this field and `Authorization` is refused: two credentials have no
    /// precedence.
    pub fn header(self, name: &str) -> Self {
        self.source(CredentialSource::header(name))
    }

    /// Takes keys from this place too, such as `Authorization: Token …`.
    pub fn source(mut self, source: CredentialSource) -> Self {
        self.sources.push(source);
        self
    }

    /// Takes [imported keys](ImportedKeys) too. Default: none, and those in the store are refused.
    #[cfg(feature = "argon2")]
    pub fn imported(mut self, keys: ImportedKeys) -> Self {
        self.imported = Some(keys);
        self
    }

    /// Whether keys are written, and not only read.
    pub(crate) fn writes(&self) -> bool {
        self.store.is_some()
    }

    /// What writes keys.
    pub(crate) fn store(&self) -> Result<&dyn KeyStore, StoreError> {
        match &self.store {
            Some(store) => Ok(&**store),
            None => Err(StoreError::new(
                StoreErrorKind::ReadOnly,
                "API keys are only read here; configure them with `ApiKeys::new`, which takes a store",
            )),
        }
    }

    /// Whether a credential is meant as a key, issued or imported.
    pub(crate) fn recognizes(&self, text: &str) -> bool {
        #[cfg(feature = "argon2")]
        if let Some(imported) = &self.imported
            && imported.format.recognizes(text)
        {
            return true;
        }
        self.format.recognizes(text)
    }

    pub(crate) fn checked(self) -> Result<Self, ConfigError> {
        #[cfg(feature = "argon2")]
        if let Some(imported) = &self.imported {
            imported.check()?;
            if !imported.format.is_apart_from(&self.format) {
                return Err(ConfigError::new(format!(
                    "the prefix of imported keys and the brand `{}` can't be told apart; one must \
                     not begin with the other",
                    self.format.brand()
                )));
            }
        }
        Ok(self)
    }
}
