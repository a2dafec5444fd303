//! Waiting for a store that takes; what it has taken for somebody who has gone is given back.

use std::{mem, sync::Arc};

use futures_util::future::BoxFuture;

use super::{CountersError, Operation, Taken, charging::Dues, service::Inner};

type Answer = Result<Taken, CountersError>;

/// What a store was asked to take. Dropped before the store has answered, a task waits for the answer and gives back what
/// was taken. What the client has an id for stays taken: with the id, a repetition pays nothing more.
pub(super) struct Taking {
    answer: Option<BoxFuture<'static, Answer>>,
    inner: Arc<Inner>,
    operation: Operation,
    charge: Dues,
}

impl Taking {
    pub(super) const fn new(
        answer: BoxFuture<'static, Answer>,
        inner: Arc<Inner>,
        operation: Operation,
        charge: Dues,
    ) -> Self {
        Self {
            answer: Some(answer),
            inner,
            operation,
            charge,
        }
    }

    /// What the store answers.
    pub(super) async fn answer(&mut self) -> Answer {
        let Some(asked) = &mut self.answer else {
            return Err(CountersError::unavailable("it was asked and has answered"));
        };
        let answer = asked.await;
        self.answer = None;
        answer
    }

    /// Of what was asked.
    pub(super) fn into_parts(mut self) -> (Arc<Inner>, Dues) {
        let nothing = Dues {
            dues: Vec::new(),
            tenant: None,
        };
        (
            Arc::clone(&self.inner),
            mem::replace(&mut self.charge, nothing),
        )
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else {
            return;
        };
        if self.operation.is_repeatable() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::error!(
                "what a request has taken could not be given back: there is no runtime"
            );
            return;
        };
        let (inner, operation) = (Arc::clone(&self.inner), self.operation);
        let dues = mem::take(&mut self.charge.dues);
        runtime.spawn(async move {
            if let Ok(Taken::Granted(granted)) = answer.await {
                inner.give_up(operation.granted(&granted), &dues);
            }
        });
    }
}
