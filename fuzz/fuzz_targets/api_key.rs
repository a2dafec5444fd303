//! Any bytes as an API key, issued or imported: nothing panics, nobody is admitted, and a text that
//! reads as a key matches no digest but its own.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tenancy_core::{
    Admission, ManualClock, MemoryDirectory, RouteNeeds, Tenancy,
    key::{
        ApiKeys, Environment, HmacKeyHasher, ImportedFormat, ImportedKeys, KeyDigest, KeyFormat,
        KeyHasher as _, KeyMatch, Pepper,
    },
    testing::FakeRequest,
};

struct Keys {
    format: KeyFormat,
    imported: ImportedFormat,
    hasher: HmacKeyHasher,
    tenancy: Tenancy,
    runtime: tokio::runtime::Runtime,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let format = KeyFormat::new("acme", Environment::Live).expect("a brand");
    let imported = ImportedFormat::separated("oldco_", '.').expect("a prefix");
    let pepper = || Pepper::new(1, [0x5c; 32]).expect("the pepper is long enough");
    let directory = MemoryDirectory::new();
    let keys = ApiKeys::new(
        format.clone(),
        HmacKeyHasher::new(pepper()),
        directory.clone(),
    );
    let keys = keys
        .header("x-api-key")
        .imported(ImportedKeys::new(imported.clone()));
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    Keys {
        // The clock stands still, so that attempts are soon spent and nothing is hashed any more.
        tenancy: Tenancy::builder(directory)
            .keys(keys)
            .clock(Arc::new(ManualClock::now_frozen()))
            .build()
            .expect("the configuration is complete"),
        runtime: runtime.enable_time().build().expect("a runtime starts"),
        hasher: HmacKeyHasher::new(pepper()),
        format,
        imported,
    }
});

fuzz_target!(|bytes: &[u8]| {
    let keys = &*KEYS;
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = keys.imported.recognizes(text);
        let _ = keys.format.range(text);
        if let Ok(read) = keys.format.read(text) {
            assert!(keys.format.recognizes(text));
            assert!(text.starts_with(&keys.format.shown(read.id())));
            let other = KeyDigest::new(1, [0; 32]);
            assert_eq!(keys.hasher.verify(&read, &other), KeyMatch::Mismatch);
            let own = keys.hasher.digest(&read);
            assert_eq!(keys.hasher.verify(&read, &own), KeyMatch::Current);
        }
    }
    let request = FakeRequest::new("/notes")
        .header("x-api-key", bytes)
        .peer([192, 0, 2, 1].into());
    keys.runtime.block_on(async {
        let admitted = match keys.tenancy.admit(&request, RouteNeeds::central()) {
            Admission::Ready(admitted) => admitted,
            Admission::Pending(pending) => pending.resolve().await,
        };
        assert!(admitted.is_err(), "{bytes:?}");
    });
});
