//! The scenarios.

mod admission;
mod extractors;
mod fields;
mod handlers;
mod keys;
mod layers;
mod pages;
mod paths;
mod permissions;
mod protocol;
mod rows;
mod sessions;
mod tokens;

use crate::{logs, play, scenario::Scenario};

/// Every scenario.
pub(crate) fn all() -> Vec<Scenario> {
    [
        admission::scenarios(),
        extractors::scenarios(),
        fields::scenarios(),
        handlers::scenarios(),
        keys::scenarios(),
        layers::scenarios(),
        pages::scenarios(),
        paths::scenarios(),
        permissions::scenarios(),
        protocol::scenarios(),
        rows::scenarios(),
        sessions::scenarios(),
        tokens::scenarios(),
    ]
    .concat()
}

macro_rules! played {
    ($($cases:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $cases() -> anyhow::Result<()> {
            let _playing = logs::playing().await;
            play::play($cases::scenarios()).await
        }
    )*};
}

played! { admission extractors fields handlers keys layers pages paths permissions protocol rows sessions tokens }
