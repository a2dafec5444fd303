//! Shapes by the text that they are of: a text that comes often is read once.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use super::{protected::Protected, shape::Shape};

/// How many texts are remembered at least, and half of how many at most.
const MANY: usize = 1_024;

/// A text by two digests with keys of this process. The text itself, which may hold values, is not kept.
type Digest = (u64, u64);

/// The shapes of the texts that came last.
#[derive(Debug)]
pub(super) struct Shapes {
    keys: [RandomState; 2],
    of: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    young: HashMap<Digest, Arc<Shape>>,
    /// Those of before; one that comes again is young again.
    old: HashMap<Digest, Arc<Shape>>,
    /// With which list of tables they were made.
    version: u64,
}

impl Shapes {
    pub(super) fn new() -> Self {
        Self {
            keys: [RandomState::new(), RandomState::new()],
            of: Mutex::default(),
        }
    }

    pub(super) fn of(&self, sql: &str, protected: &Protected) -> Arc<Shape> {
        let [one, other] = &self.keys;
        let digest = (one.hash_one(sql), other.hash_one(sql));
        if let Some(shape) = self.remembered().find(digest, protected.version()) {
            return shape;
        }
        // Not under the lock: a text may be long.
        let shape = Arc::new(Shape::of(sql, protected));
        let mut remembered = self.remembered();
        if remembered.version == protected.version() {
            remembered.keep(digest, Arc::clone(&shape));
        }
        shape
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    fn find(&mut self, digest: Digest, version: u64) -> Option<Arc<Shape>> {
        if self.version != version {
            *self = Self {
                version,
                ..Self::default()
            };
        }
        if let Some(shape) = self.young.get(&digest) {
            return Some(Arc::clone(shape));
        }
        let shape = self.old.remove(&digest)?;
        self.keep(digest, Arc::clone(&shape));
        Some(shape)
    }

    fn keep(&mut self, digest: Digest, shape: Arc<Shape>) {
        if self.young.len() >= MANY {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, shape);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_once_and_memory_is_bounded() {
        let (shapes, protected) = (Shapes::new(), Protected::default());
        let hot = shapes.of("SELECT 'hot'", &protected);
        for number in 0..10 * MANY {
            // Application code that builds its texts with values.
            shapes.of(&format!("SELECT '{number}'"), &protected);
            let again = shapes.of("SELECT 'hot'", &protected);
            assert!(Arc::ptr_eq(&hot, &again), "read again after {number}");
        }
        let kept = shapes.remembered();
        assert!(kept.young.len() + kept.old.len() <= 2 * MANY);
    }

    #[test]
    fn another_list_of_tables_is_looked_at_anew() {
        let (shapes, before) = (Shapes::new(), Protected::default());
        assert!(shapes.of("TABLE notes", &before).tables.is_empty());
        let after = Protected::of([("public", "notes")]).after(&before);
        assert_eq!(shapes.of("TABLE notes", &after).tables.len(), 1);
        assert_eq!(shapes.of("TABLE notes", &after).tables.len(), 1);
    }
}
