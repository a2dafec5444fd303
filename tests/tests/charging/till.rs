//! A charger that writes down what it is asked, and does what the request tells it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tenancy_core::{
    Charge, ChargeRequest, Charger, Charging, Ending, Field, Refusal, RefusalDetails, RefusalKind,
};
use tokio::sync::Semaphore;

/// What has happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Who was charged, of which meter, and how much.
    Taken(String, String, u64),
    /// The handler was reached.
    Reached,
    /// A charge was settled.
    Settled(Ending),
    /// A charge was given up while it waited.
    GivenUp,
}

#[derive(Debug, Clone)]
pub(crate) struct Till {
    entries: Arc<Mutex<Vec<Entry>>>,
    /// What a charge waits for that has to wait.
    pub(crate) gate: Arc<Semaphore>,
}

impl Till {
    pub(crate) fn new() -> Self {
        Self {
            entries: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    pub(crate) fn note(&self, entry: Entry) {
        self.lock().push(entry);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many things have happened, and takes them.
    pub(crate) async fn entries(&self, count: usize) -> anyhow::Result<Vec<Entry>> {
        for _ in 0..2_000 {
            {
                let mut entries = self.lock();
                if entries.len() >= count {
                    return Ok(std::mem::take(&mut entries));
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::bail!("only {:?}", self.lock())
    }

    fn charge(&self) -> Charge {
        let till = self.clone();
        Charge::new()
            .field("ratelimit", "\"till\";r=5;t=30")
            .settled_by(move |ending| till.note(Entry::Settled(ending)))
    }
}

impl Charger for Till {
    fn knows(&self, meter: &str) -> bool {
        matches!(meter, "requests" | "exports")
    }

    fn charge(&self, request: &ChargeRequest<'_>) -> Charging {
        let who = match (request.context(), request.principal()) {
            (Some(context), _) => context.record().slug.to_string(),
            (None, Some(principal)) => principal.actor.kind().to_owned(),
            (None, None) => request
                .client_ip
                .map_or_else(String::new, |ip| ip.to_string()),
        };
        for cost in request.costs {
            self.note(Entry::Taken(
                who.clone(),
                cost.meter().to_owned(),
                cost.amount(),
            ));
        }
        match request.request.header("x-till") {
            Field::One("spent") => {
                let refusal = Refusal::new(RefusalKind::QuotaExhausted, "exports-of-the-month");
                let details = RefusalDetails::new().meter("exports").limit(3).used(3);
                let details = details
                    .plan("pro")
                    .upgrade_url("https://notes.example/plans");
                refusal.with_details(details).into()
            }
            Field::One("slow-down") => Refusal::new(RefusalKind::RateLimited, "requests-a-minute")
                .with_retry_after(Duration::from_millis(6_200))
                .with_field("ratelimit", "\"till\";r=0;t=7")
                .into(),
            Field::One(waits @ ("wait" | "wait-and-refuse")) => {
                let (till, refuses) = (self.clone(), waits != "wait");
                let waiting = Waiting(Some(self.clone()));
                Charging::Pending(Box::pin(async move {
                    let opened = till.gate.acquire().await;
                    waiting.end();
                    if let Ok(permit) = opened {
                        permit.forget();
                    }
                    if refuses {
                        return Err(Refusal::new(RefusalKind::RateLimited, "store-says-no"));
                    }
                    Ok(till.charge())
                }))
            }
            _ => self.charge().into(),
        }
    }
}

/// A charge that waits for its store.
struct Waiting(Option<Till>);

impl Waiting {
    fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(till) = &self.0 {
            till.note(Entry::GivenUp);
        }
    }
}
