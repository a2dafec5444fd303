//! Imported keys: credentials of another format, with secrets that might be guessed, go on working
//! and cost what they may.

mod floods;
mod importing;
mod refusals;
mod using;

use std::num::NonZeroUsize;

use tenancy_core::{
    key::{
        ApiKey, ImportedFormat, ImportedKeys, ImportedSecret, LowEntropySecret, NewKey,
        SecretHasher,
    },
    testing::FakeRequest,
};

use super::{World, alices, api_keys};

/// `oldco_4711.correcthorse`.
pub(super) fn format() -> ImportedFormat {
    ImportedFormat::separated("oldco_", '.').unwrap()
}

pub(super) fn one_at_a_time() -> SecretHasher {
    SecretHasher::with_parallelism(NonZeroUsize::MIN)
}

pub(super) async fn world_of(imported: ImportedKeys) -> World {
    tenancy_logwatch::issued("correcthorse");
    World::over(|directory, builder| builder.keys(api_keys(directory).imported(imported))).await
}

pub(super) async fn world() -> World {
    world_of(ImportedKeys::new(format())).await
}

pub(super) fn secret(text: &str) -> LowEntropySecret {
    LowEntropySecret::new(text).unwrap()
}

pub(super) async fn import(
    w: &World,
    new: NewKey,
    handle: &str,
    secret: impl Into<ImportedSecret> + Send,
) -> ApiKey {
    let keys = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let handle = handle.parse().unwrap();
    keys.import(new, handle, secret).await.unwrap()
}

/// Alice's key 4711 with the secret `correcthorse`.
pub(super) async fn imported(w: &World) -> ApiKey {
    import(w, alices(w), "4711", secret("correcthorse")).await
}

pub(super) const RIGHT: &str = "oldco_4711.correcthorse";

pub(super) fn with(text: &str) -> FakeRequest {
    FakeRequest::new("/notes").bearer(text)
}
