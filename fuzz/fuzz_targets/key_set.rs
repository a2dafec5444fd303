//! Any answer as a key set: nothing panics, and a bad one replaces nothing.
#![no_main]

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use libfuzzer_sys::fuzz_target;
use tenancy_core::{
    Timestamp,
    jwt::{FetchError, JwksFetcher, RemoteKeys},
};

#[derive(Debug, Clone)]
struct Answer(Arc<Mutex<Vec<u8>>>);

#[async_trait]
impl JwksFetcher for Answer {
    async fn fetch(&self, _limit: usize) -> Result<Vec<u8>, FetchError> {
        Ok(self
            .0
            .lock()
            .map_err(|_| FetchError::new("poisoned"))?
            .clone())
    }
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().expect("a runtime starts")
});

fuzz_target!(|body: &[u8]| {
    let good = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let answer = Answer(Arc::new(Mutex::new(good.to_vec())));
    let keys = RemoteKeys::new(answer.clone());
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    RUNTIME.block_on(async {
        keys.refresh(now).await.expect("a good set is taken");
        *answer.0.lock().expect("nobody panicked") = body.to_vec();
        let refreshed = keys.refresh(now + Duration::from_secs(60)).await;
        assert!(keys.status().keys > 0);
        assert_eq!(keys.status().fetched_at == Some(now), refreshed.is_err());
    });
});
