//! A request may be cancelled at every await: the future is dropped wherever it stands. Whatever
//! was under way, the next borrower of the connection sees its own tenant's rows, nothing
//! half-done stays, and what was reported as committed is there.

mod defect;
mod drops;
mod probe;
mod stress;
mod system;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// Polls a future until it has waited `waits` times, and drops it at the next wait.
///
/// `None` if it was dropped. With a server behind a delay, each round trip is a wait.
async fn dropped_after<F: Future>(waits: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = waits;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
