//! What a decision may have to load, and what was loaded for one request.
//!
//! Each thing is a file in this folder: a type that is a [`Fact`], with its key, its value and how it is
//! loaded; or a [`CachedFact`], which also says in which cache it is kept and whose it is. A decision
//! looks at [`Loaded`] first, then at the cache, and else stops with [`Load::of`] the thing.

mod cached;
mod credential;
mod entry;
mod impersonation;
mod key;
mod membership;
mod news;
mod overrides;
mod plan;
mod project;
mod roles;
mod tenant;
mod token_revocation;

use std::{any::Any, convert::Infallible, fmt};

use async_trait::async_trait;
use quick_cache::Equivalent;

pub(super) use cached::{CachedFact, Caches};
pub(super) use credential::Checked;
pub(super) use entry::{Entered, Entries};
pub(super) use impersonation::ImpersonationNow;
pub(super) use key::KeyRecord;
#[cfg(feature = "argon2")]
pub(super) use key::{SecretOf, SecretProof};
pub(super) use membership::MembershipOf;
pub(super) use news::News;
pub(super) use overrides::OverridesOf;
pub(super) use plan::{StoredPlan, StoredPlanAnswer};
pub(super) use project::{ProjectForUser, ProjectOf};
pub(super) use roles::RolesOf;
pub(super) use tenant::TenantNamed;
pub(super) use token_revocation::NewestTokenRevocation;

use super::Tenancy;
use crate::{Credential, DirectoryError, LookupError, Timestamp, cache::CacheVersion};

/// A thing that a decision may have to load.
pub(super) trait Fact: Sized + 'static {
    /// What it is asked for by.
    type Key: Clone + Eq + fmt::Debug + Send + Sync + 'static;
    /// What there is to know, which may be that there is none.
    type Value: Clone + Send + Sync + 'static;
    /// Why it could not be loaded.
    type Error: Into<LoadError>;

    /// Whether it is an answer about something that a request names. News is none.
    const IS_ANSWER: bool = true;

    /// Loads it on behalf of a request, and tells when the reading of it began: before this call, if
    /// somebody else had begun it.
    fn load(
        context: LoadContext<'_>,
        key: &Self::Key,
    ) -> impl Future<Output = Result<(Timestamp, Self::Value), Self::Error>> + Send;

    /// Notes what was loaded. A thing that consists of several notes each of them.
    fn note(key: Self::Key, value: Self::Value, loaded: &mut Loaded) {
        loaded.put::<Self>(key, value);
    }
}

/// On whose behalf something is loaded.
#[derive(Clone, Copy)]
pub(super) struct LoadContext<'a> {
    pub(super) engine: &'a Tenancy,
    pub(super) credential: Option<Credential<'a>>,
    pub(super) now: Timestamp,
}

/// Loads a thing that no request asks for.
pub(super) async fn load<F: Fact>(engine: &Tenancy, key: &F::Key) -> Result<F::Value, F::Error> {
    let context = LoadContext {
        engine,
        credential: None,
        now: engine.inner().clock.now(),
    };
    F::load(context, key).await.map(|(_, value)| value)
}

/// A store that did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Credential(#[from] LookupError),
}

impl From<Infallible> for LoadError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A thing to load before there can be a decision.
pub(super) struct Load(Box<dyn AnyLoad>);

impl Load {
    pub(super) fn of<F: Fact>(key: F::Key) -> Self {
        Self(Box::new(Wanted::<F>(key)))
    }

    /// Loads it, and notes it for the request.
    pub(super) async fn run(
        &self,
        context: LoadContext<'_>,
        loaded: &mut Loaded,
    ) -> Result<(), LoadError> {
        self.0.run(context, loaded).await
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
trait AnyLoad: fmt::Debug + Send + Sync {
    async fn run(&self, context: LoadContext<'_>, loaded: &mut Loaded) -> Result<(), LoadError>;
}

struct Wanted<F: Fact>(F::Key);

#[async_trait]
impl<F: Fact> AnyLoad for Wanted<F> {
    async fn run(&self, context: LoadContext<'_>, loaded: &mut Loaded) -> Result<(), LoadError> {
        if F::IS_ANSWER {
            let versions = &context.engine.inner().versions;
            loaded
                .answers_began
                .get_or_insert_with(|| (context.now, versions.of_any()));
        }
        let (began, value) = F::load(context, &self.0).await.map_err(Into::into)?;
        loaded.began = Some(loaded.began.map_or(began, |before| before.min(began)));
        F::note(self.0.clone(), value, loaded);
        Ok(())
    }
}

impl<F: Fact> fmt::Debug for Wanted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<F>();
        let name = name.rsplit_once("::").map_or(name, |(_, name)| name);
        f.debug_tuple(name).field(&self.0).finish()
    }
}

/// What was loaded for one request. It goes before the caches, so that each thing is loaded at most once.
#[derive(Default)]
pub(super) struct Loaded {
    /// When the oldest of it began to be read.
    began: Option<Timestamp>,
    /// When the first answer began to be loaded, and the version of all tenants before.
    answers_began: Option<(Timestamp, CacheVersion)>,
    facts: Vec<Box<dyn Any + Send + Sync>>,
}

struct Known<F: Fact> {
    key: F::Key,
    value: F::Value,
}

impl Loaded {
    /// Whether nothing has been loaded: then a decision rests on caches alone.
    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// When the oldest of it began to be read, if anything was.
    pub(super) fn began(&self) -> Option<Timestamp> {
        self.began
    }

    /// When the first answer began to be loaded, with the version of all tenants before.
    pub(super) fn answers_began(&self) -> Option<(Timestamp, CacheVersion)> {
        self.answers_began
    }

    /// What was loaded under this key; `None` if it was not loaded.
    pub(super) fn get<F: Fact>(
        &self,
        key: &(impl Equivalent<F::Key> + ?Sized),
    ) -> Option<&F::Value> {
        self.all::<F>()
            .find(|known| key.equivalent(&known.key))
            .map(|known| &known.value)
    }

    /// The first of its kind that was loaded, whatever its key.
    pub(super) fn first<F: Fact>(&self) -> Option<&F::Value> {
        self.all::<F>().next().map(|known| &known.value)
    }

    /// Whether the directory told its news when asked for this request; `None` if it was not asked.
    pub(super) fn feed_answered(&self) -> Option<bool> {
        self.first::<News>().copied()
    }

    fn all<F: Fact>(&self) -> impl Iterator<Item = &Known<F>> {
        self.facts
            .iter()
            .filter_map(|fact| fact.downcast_ref::<Known<F>>())
    }

    fn put<F: Fact>(&mut self, key: F::Key, value: F::Value) {
        self.facts.push(Box::new(Known::<F> { key, value }));
    }
}
