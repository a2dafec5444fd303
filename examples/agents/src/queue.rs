//! Jobs, done after their request was answered, in the tenant and with the rights of who asked.

use tenancy::{Refusal, RefusalKind, TenantContext, postgres::TenantPool};
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};
use uuid::Uuid;

/// How many jobs may wait; more are refused, and their callers come back.
const WAITING: usize = 1_000;

#[derive(Debug)]
struct Job {
    /// Whose job it is: as good as when it was asked for, and looked at again before the work.
    context: TenantContext,
    run: Uuid,
}

/// Where requests put jobs.
#[derive(Debug, Clone)]
pub struct Queue(Sender<Job>);

/// A place in the queue.
pub(crate) struct Place(tokio::sync::mpsc::OwnedPermit<Job>);

/// The jobs that wait.
#[derive(Debug)]
pub struct Jobs {
    waiting: Receiver<Job>,
    pool: TenantPool,
}

impl Queue {
    /// A queue, and who does what is in it.
    #[must_use]
    pub fn new(pool: TenantPool) -> (Self, Jobs) {
        let (queue, waiting) = channel(WAITING);
        (Self(queue), Jobs { waiting, pool })
    }

    pub(crate) fn reserve(&self) -> Result<Place, Refusal> {
        let place = self.0.clone().try_reserve_owned();
        place.map(Place).map_err(|error| {
            let why = match error {
                TrySendError::Full(_) => "too-many-jobs",
                TrySendError::Closed(_) => "no-worker",
            };
            Refusal::new(RefusalKind::Unavailable, why)
        })
    }
}

impl Place {
    pub(crate) fn put(self, context: TenantContext, run: Uuid) {
        self.0.send(Job { context, run });
    }
}

impl Jobs {
    /// Does jobs until no queue is left.
    pub async fn run(mut self) {
        while self.next().await {}
    }

    /// Does the next job; false if there will be none.
    pub async fn next(&mut self) -> bool {
        let Some(job) = self.waiting.recv().await else {
            return false;
        };
        if let Err(error) = job.perform(&self.pool).await {
            tracing::error!(run = %job.run, %error, "a job failed");
        }
        true
    }
}

impl Job {
    /// Does the work, unless the key was revoked, the person removed or the tenant suspended since.
    async fn perform(
        &self,
        pool: &TenantPool,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let engine = self.context.tenancy();
        let today = engine.revalidate(&self.context).await;
        let allowed = today.and_then(|today| today.require("runs:start").map(|()| today));
        match allowed {
            Ok(context) => {
                let result = format!("done for {}", context.record().name);
                self.settle(pool, &context, "done", Some(result)).await
            }
            Err(refusal) if refusal.kind() == RefusalKind::Unavailable => Err(refusal.into()),
            Err(refusal) => {
                tracing::info!(run = %self.run, %refusal, "a job is no longer wanted");
                // Who asked may no longer write; the service says so in their tenant itself.
                let reason = "a job whose caller may no longer start it";
                let context = engine.enter(self.context.tenant_id(), reason).await?;
                self.settle(pool, &context, "refused", None).await
            }
        }
    }

    async fn settle(
        &self,
        pool: &TenantPool,
        context: &TenantContext,
        state: &str,
        result: Option<String>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut tx = pool.begin(context).await?;
        sqlx::query("UPDATE runs SET state = $2, result = $3 WHERE id = $1")
            .bind(self.run)
            .bind(state)
            .bind(result)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}
