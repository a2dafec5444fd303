//! The model of random changes and requests, over memory.

use tenancy_core::{MemoryDirectory, conformance};

#[tokio::test]
async fn what_is_remembered_changes_no_answer() {
    let long = std::env::var("TENANCY_LONG").is_ok_and(|value| value == "1");
    let (seeds, answers) = if long { (20, 5_000) } else { (4, 1_000) };
    for seed in 1..=seeds {
        println!("seed {seed}");
        conformance::answers(&MemoryDirectory::new(), seed, answers).await;
    }
}
