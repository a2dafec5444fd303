//! Random changes and requests: whatever an engine remembers, it answers as one would that was made
//! a moment ago and remembers nothing.

mod ask;
mod change;
mod world;

use std::collections::VecDeque;

use ask::Question;
use world::World;

use crate::{Directory, DirectoryStore, key::KeyStore};

/// Plays random changes and requests, and compares the answers of an engine with those of engines that
/// were made a moment ago and remember nothing. Stops after so many answers. The same seed draws the same.
///
/// Changes are made by the engine itself and by others, of which it is told: tenants are suspended,
/// members, projects and issuers come and go, tokens are taken back, keys are issued, narrowed, rotated
/// and revoked, domains become a tenant's and nobody's again, and slugs change. Requests have tokens, cookies and keys, name tenants in
/// each way, and come from pages of tenants and of nobody.
///
/// The directory may hold other tenants and keys; the model makes its own.
pub async fn answers<D>(directory: &D, seed: u64, answers: usize)
where
    D: Directory + DirectoryStore + KeyStore + Clone,
{
    let mut world = World::new(directory.clone(), seed).await;
    // What was asked a while ago, to be asked again.
    let mut recent = VecDeque::<Question>::new();
    let mut seen = Seen::default();
    while seen.compared < answers {
        if world.random.one_in(4) {
            world.change().await;
        }
        if world.random.one_in(3) {
            world.let_time_pass();
        }
        if world.random.one_in(2) {
            world.replace_a_token();
        }
        let again = recent.len() > 7 && world.random.one_in(2);
        let question = match recent.get(world.random.below(recent.len().max(1))) {
            Some(question) if again => question.clone(),
            _ => world.question(),
        };
        // Several times, so that it is warm.
        for _ in 0..4 {
            let ours = question.ask(&world.engine).await;
            let theirs = question.ask(&world.fresh()).await;
            assert_eq!(
                ours, theirs,
                "seed {seed}, after {} answers: {question:?}",
                seen.compared
            );
            seen.count(&question, &ours);
        }
        recent.push_back(question);
        if recent.len() > 12 {
            recent.pop_front();
        }
    }
    seen.check();
}

/// What the answers were about: otherwise nothing of this shows anything.
#[derive(Debug, Default)]
struct Seen {
    compared: usize,
    admitted: usize,
    by_key: usize,
    of_page: usize,
}

impl Seen {
    fn count(&mut self, question: &Question, answer: &str) {
        let admitted = answer.contains("Active");
        self.compared += 1;
        self.admitted += usize::from(admitted);
        self.by_key += usize::from(admitted && answer.contains("Key("));
        self.of_page += usize::from(admitted && question.is_of_a_tenants_page());
    }

    fn check(&self) {
        let enough = self.admitted > self.compared / 20 && self.by_key > 0 && self.of_page > 0;
        assert!(enough, "too few were admitted: {self:?}");
    }
}
