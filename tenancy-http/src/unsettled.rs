//! A charge whose response is on its way.

use tenancy_core::{Ending, Settlement};

/// A charge that is settled when the body of its response ends; an adapter's body holds it.
#[derive(Debug)]
pub struct Unsettled {
    settlement: Settlement,
    status: u16,
    bytes: u64,
    announced: Option<u64>,
    to_head: bool,
}

impl Unsettled {
    /// A charge of a response with this status; `None` if there is nothing to settle. `announced` is how long
    /// the body is said to be, in bytes, and `to_head` whether the request was HEAD.
    #[must_use]
    pub fn new(
        settlement: Settlement,
        status: u16,
        announced: Option<u64>,
        to_head: bool,
    ) -> Option<Self> {
        (!settlement.is_none()).then_some(Self {
            settlement,
            status,
            bytes: 0,
            announced,
            to_head,
        })
    }

    /// Takes note of so many bytes that were handed to the server.
    pub fn handed_over(&mut self, bytes: usize) {
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    }

    /// Settles: the body has come to its end, or has failed.
    pub fn end(self, whole: bool) {
        // Some servers read the body of an answer to HEAD, and none sends it.
        let bytes = if self.to_head { 0 } else { self.bytes };
        let status = self.status;
        self.settlement.settle(if whole {
            Ending::Answered { status, bytes }
        } else {
            Ending::CutOff { status, bytes }
        });
    }

    /// Settles: the body was dropped, where it knows that nothing more would have come or not.
    pub fn dropped(self, at_end: bool) {
        // A server does not ask for what it does not send, nor for more than was announced.
        let whole = at_end || self.to_head || self.announced == Some(self.bytes);
        self.end(whole);
    }
}
