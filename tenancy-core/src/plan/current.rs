//! The plans that an engine goes by: a book, which can be replaced, and the stored versions that were read.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::{Plan, Plans};
use crate::TenantRecord;

/// The plans in effect.
#[derive(Debug)]
pub(crate) struct CurrentPlans {
    book: RwLock<Arc<Plans>>,
    /// By their whole name, such as `pro@3`. What a version says never changes, so none is forgotten; `None` for one
    /// that this program can't use, whose permissions and meters don't change either.
    versions: RwLock<HashMap<Box<str>, Option<Plan>>>,
}

impl CurrentPlans {
    pub(crate) fn new(book: Plans) -> Self {
        Self {
            book: RwLock::new(Arc::new(book)),
            versions: RwLock::default(),
        }
    }

    /// The book as it is now.
    pub(crate) fn book(&self) -> Arc<Plans> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another book in the place of the one that there is. Features that any plan ever had stay known.
    pub(crate) fn replace(&self, mut book: Plans) {
        let mut current = self.book.write().unwrap_or_else(PoisonError::into_inner);
        book.know_features_of(&current);
        *current = Arc::new(book);
    }

    /// Keeps a stored version that was read; `None` if this program can't use it.
    pub(crate) fn keep(&self, name: &str, plan: Option<Plan>) {
        let mut versions = self
            .versions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        versions.insert(name.into(), plan);
    }

    /// The plan of this name: the book's, or else a stored version that was read.
    pub(crate) fn named(&self, name: &str) -> Option<Plan> {
        if let Some(plan) = self.book().named(name) {
            return Some(plan.clone());
        }
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        versions.get(name).cloned().flatten()
    }

    /// Whether this is a stored version that was read and can't be used here.
    pub(crate) fn cannot_use(&self, name: &str) -> bool {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        matches!(versions.get(name), Some(None))
    }

    /// The name of the plan that a tenant counts as.
    pub(crate) fn name_of(&self, tenant: &TenantRecord) -> Option<String> {
        self.book().name_of(tenant).map(str::to_owned)
    }

    /// The plan that a tenant counts as, if it is known here.
    pub(crate) fn of(&self, tenant: &TenantRecord) -> Option<Plan> {
        match &tenant.plan {
            Some(name) => self.named(name),
            None => self.named(&self.name_of(tenant)?),
        }
    }

    /// Whether any plan has a feature, or one before it had.
    pub(crate) fn know_feature(&self, name: &str) -> bool {
        self.book().know_feature(name)
    }
}
