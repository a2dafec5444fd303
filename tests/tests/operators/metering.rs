//! What an operator does in a user's place is no usage of the tenant's.

use std::{sync::Arc, time::Duration};

use tenancy_core::{
    Admission, Admitted, RouteNeeds, TenantContext, Timestamp, quota::Window, testing::FakeRequest,
};
use tenancy_tests::notes;
use tenancy_usage::{
    FinishedRequest, MemoryUsage, RequestUsage, RollupQuery, UsageMeters, UsageRecorder,
    UsageSink as _,
};

use crate::world::{World, on_all};

async fn admitted(w: &World, token: &str) -> anyhow::Result<TenantContext> {
    let request = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(token);
    let admitted = match w.service.admit(&request, RouteNeeds::tenant()) {
        Admission::Ready(admitted) => admitted?,
        Admission::Pending(pending) => pending.resolve().await?,
    };
    match admitted {
        Admitted::Tenant(context) => Ok(context),
        Admitted::NoTenant(_) => anyhow::bail!("a tenant"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_an_impersonation_are_not_metered() -> anyhow::Result<()> {
    on_all(async |w| {
        let meters = UsageMeters::new(UsageMeters::http())?;
        let sink = Arc::new(MemoryUsage::new(meters.clone()));
        let recorder = UsageRecorder::builder(sink.clone(), meters).build();
        let usage = RequestUsage::new(&recorder)?;
        let (own, operators) = (notes::token(w.notes.alice)?, w.become_alice().await?);
        for (token, is_operator, requests) in [(own, false, 3), (operators, true, 5)] {
            let context = admitted(w, &token).await?;
            assert_eq!(context.impersonation().is_some(), is_operator);
            for _ in 0..requests {
                let request = FinishedRequest {
                    route: Some("/notes"),
                    method: "GET",
                    status: 200,
                    request_bytes: 1,
                    response_bytes: 1,
                    took: Duration::from_millis(1),
                };
                usage.finished(&context, &request);
            }
        }
        recorder.close(Duration::from_secs(10)).await?;
        let ever = Window::new(
            Timestamp::EPOCH,
            Timestamp::from_unix_seconds(60_000_000_000),
        );
        for meter in UsageMeters::http() {
            let total = RollupQuery::total(w.notes.acme.id, meter.name(), ever);
            let told = sink.rollups(&total).await?;
            assert_eq!(
                told.iter().map(|one| one.events).sum::<u64>(),
                3,
                "{}",
                meter.name()
            );
        }
        assert_eq!(usage.lost(), 0);
        Ok(())
    })
    .await
}
