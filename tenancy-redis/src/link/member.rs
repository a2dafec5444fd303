//! A server, and whether it is waited for.

use std::time::Duration;

use super::{Address, Waits, breaker::Breaker, node::Node, slots::Place};

/// How long nobody asks one that does not answer.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// A server with a breaker of its own: that one does not answer says nothing of others.
pub(crate) struct Member {
    pub(super) node: Node,
    pub(super) breaker: Breaker,
    /// Where a cluster says that it is.
    pub(super) place: Option<Place>,
}

impl Member {
    pub(super) fn new(address: Address, waits: Waits, place: Option<Place>) -> Self {
        Self {
            node: Node::new(address, waits),
            breaker: Breaker::new(PAUSE),
            place,
        }
    }

    /// Where it is, for messages.
    pub(super) fn name(&self) -> String {
        self.place
            .as_ref()
            .map_or_else(|| "the server".to_owned(), Place::to_string)
    }
}
