//! Requests metered by both adapters, over real HTTP: each once, for its tenant, with what was really sent, and all of it
//! after the server has ended.

mod service;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::ensure;
use reqwest::{Method, RequestBuilder};
use tenancy_core::{Clock as _, SystemClock, TenantId, Timestamp, UserId, quota::Window};
use tenancy_sqlx::{PgUsage, RegistryPool};
use tenancy_tests::{
    Framework, Serving,
    notes::{Notes, PASSWORD, on_every_server, seal_key, token},
};
use tenancy_usage::{
    Decimal, MemoryUsage, RequestUsage, RollupQuery, UsageMeter, UsageMeters, UsageRecorder,
    UsageSink,
};

use self::service::{TEXT, serve};

/// A service of one framework that counts in PostgreSQL.
struct World<'n> {
    notes: &'n Notes,
    usage: PgUsage,
    recorder: UsageRecorder,
    requests: RequestUsage,
    serving: Serving,
    client: reqwest::Client,
}

impl<'n> World<'n> {
    async fn start(notes: &'n Notes, framework: Framework) -> anyhow::Result<Self> {
        let options = notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD));
        let registry = match notes.seal {
            Some(_) => RegistryPool::connect_sealed(options, &seal_key()?).await?,
            None => RegistryPool::connect_with(options).await?,
        };
        let meters = UsageMeters::new(UsageMeters::http())?;
        let usage = PgUsage::builder(&registry, meters.clone()).build();
        // Nothing is sent before it ends.
        let recorder = UsageRecorder::builder(Arc::new(usage.clone()), meters)
            .flush_each(Duration::from_secs(3_600))
            .build();
        let requests = RequestUsage::new(&recorder)?;
        Ok(Self {
            serving: serve(framework, &notes.tenancy, &requests).await?,
            notes,
            usage,
            recorder,
            requests,
            client: reqwest::Client::builder().build()?,
        })
    }

    fn ask(&self, user: UserId, tenant: &str, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.serving.address);
        let request = self.client.request(method, url);
        let request = request.header("host", format!("{tenant}.notes.example"));
        request.bearer_auth(token(user).unwrap_or_default())
    }

    fn alice(&self, method: Method, path: &str) -> RequestBuilder {
        self.ask(self.notes.alice, "acme", method, path)
    }

    /// Ends as a service does: the server, then the recorder, then the sink.
    async fn stop(self) -> anyhow::Result<()> {
        self.serving.stop().await?;
        self.recorder.close(Duration::from_secs(60)).await?;
        ensure!((self.requests.lost(), self.recorder.uncounted()) == (0, 0));
        self.usage.close().await?;
        Ok(())
    }
}

/// Quantity and number of events of each series, by the values of these dimensions.
async fn series(
    usage: &dyn UsageSink,
    tenant: TenantId,
    meter: &str,
    dimensions: &[&str],
) -> anyhow::Result<BTreeMap<String, (Decimal, u64)>> {
    let minute = SystemClock.now().as_unix_seconds().div_euclid(60) * 60;
    let around = |minutes: i64| Timestamp::from_unix_seconds(minute + minutes * 60);
    let mut query = RollupQuery::total(tenant, meter, Window::new(around(-60), around(60)));
    for dimension in dimensions {
        query = query.by_dimension(*dimension);
    }
    let rollups = usage.rollups(&query).await?;
    let name = |values: &BTreeMap<Box<str>, Box<str>>| {
        let values = dimensions.iter().filter_map(|name| values.get(*name));
        values.map(AsRef::as_ref).collect::<Vec<_>>().join(" ")
    };
    let told = rollups
        .into_iter()
        .map(|rollup| (name(&rollup.dimensions), (rollup.quantity, rollup.events)));
    Ok(told.collect())
}

async fn requests_of(
    usage: &dyn UsageSink,
    tenant: TenantId,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let told = series(
        usage,
        tenant,
        "http-requests",
        &["method", "route", "status"],
    )
    .await?;
    let counts = told.into_iter().map(|(name, (quantity, events))| {
        ensure!(quantity == events.into(), "{name}: {quantity} of {events}");
        Ok((name, events))
    });
    counts.collect()
}

fn named<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    let owned = counts.map(|(name, count)| (name.to_owned(), count));
    owned.into_iter().collect()
}

async fn on_both(
    test: impl AsyncFn(&Notes, Framework) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for framework in Framework::ALL {
        on_every_server(async |notes| {
            let tested = test(notes, framework).await;
            tested.map_err(|error| error.context(format!("on {framework:?}")))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_counts_once_for_its_tenant() -> anyhow::Result<()> {
    on_both(async |notes, framework| {
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        // The other tenant has usage, which stays as it is.
        let world = World::start(notes, framework).await?;
        let usage = world.usage.clone();
        for _ in 0..2 {
            let answer = world
                .ask(notes.bob, "globex", Method::GET, "/notes/9")
                .send()
                .await?;
            ensure!(answer.text().await? == TEXT);
        }
        world.recorder.flush().await?;
        let of_globex = named([("GET /notes/{id} 200", 2)]);
        ensure!(requests_of(&usage, globex).await? == of_globex);

        for id in 0..25 {
            let answer = world
                .alice(Method::GET, &format!("/notes/{id}"))
                .send()
                .await?;
            ensure!(answer.status() == 200 && answer.text().await? == TEXT);
        }
        let posted = world
            .alice(Method::POST, "/notes")
            .body("x".repeat(100_000));
        ensure!(posted.send().await?.status() == 201);
        ensure!(world.alice(Method::HEAD, "/notes/1").send().await?.status() == 200);
        ensure!(world.alice(Method::GET, "/fails").send().await?.status() == 409);
        ensure!(world.alice(Method::GET, "/nowhere").send().await?.status() == 404);
        ensure!(world.alice(Method::GET, "/panics").send().await.is_err());
        // A layer inside, which meters too, and refuses.
        ensure!(world.alice(Method::GET, "/twice").send().await?.status() == 200);
        // Bob belongs to the other one, and somebody to none: they are nobody's usage.
        let stranger = world.ask(notes.bob, "acme", Method::GET, "/notes/1");
        ensure!(stranger.send().await?.status().is_client_error());
        let nobody = world.ask(UserId::new(), "globex", Method::GET, "/notes/1");
        ensure!(nobody.send().await?.status().is_client_error());
        ensure!(
            requests_of(&usage, acme).await?.is_empty(),
            "it was sent before the end"
        );
        // Closes the connection to the database, so another reads.
        let reading = counting_again(notes).await?;
        world.stop().await?;

        let of_acme = named([
            ("GET /notes/{id} 200", 25),
            ("POST /notes 201", 1),
            ("HEAD /notes/{id} 200", 1),
            ("GET /fails 409", 1),
            ("GET - 404", 1),
            ("GET /panics 500", 1),
            ("GET /twice 200", 1),
        ]);
        let told = requests_of(&reading, acme).await?;
        ensure!(told == of_acme, "{told:?}");
        ensure!(requests_of(&reading, globex).await? == of_globex);

        let bytes = series(&reading, acme, "http-request-bytes", &["route"]).await?;
        ensure!(
            bytes == [("/notes".to_owned(), (100_000.into(), 1))].into(),
            "{bytes:?}"
        );
        let bytes = series(&reading, acme, "http-response-bytes", &["route"]).await?;
        let text = |count: u64| (Decimal::from(12 * count), count);
        ensure!(bytes.get("/notes/{id}") == Some(&text(25)), "{bytes:?}");
        ensure!(bytes.get("/fails") == Some(&text(1)), "{bytes:?}");
        ensure!(bytes.get("/twice") == Some(&text(1)), "{bytes:?}");
        for meter in ["http-seconds", "http-took"] {
            let told = series(&reading, acme, meter, &["route"]).await?;
            let events: BTreeMap<_, _> = told
                .iter()
                .map(|(route, (_, events))| (route.as_str(), *events))
                .collect();
            let wanted = [
                ("-", 1),
                ("/fails", 1),
                ("/notes", 1),
                ("/notes/{id}", 26),
                ("/panics", 1),
                ("/twice", 1),
            ];
            ensure!(events == wanted.into(), "{meter}: {events:?}");
            ensure!(told.values().all(|(quantity, _)| *quantity > Decimal::ZERO));
        }
        let took = series(&reading, acme, "http-took", &["took"]).await?;
        let bounds = UsageMeters::HTTP_TOOK_MS.map(|bound| bound.to_string());
        let is_bound = |name: &String| name == "inf" || bounds.contains(name);
        ensure!(!took.is_empty() && took.keys().all(is_bound), "{took:?}");
        reading.close().await?;
        Ok(())
    })
    .await
}

/// A sink whose connections are another's.
async fn counting_again(notes: &Notes) -> anyhow::Result<PgUsage> {
    let options = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let registry = match notes.seal {
        Some(_) => RegistryPool::connect_sealed(options, &seal_key()?).await?,
        None => RegistryPool::connect_with(options).await?,
    };
    let meters = UsageMeters::new(UsageMeters::http())?;
    Ok(PgUsage::builder(&registry, meters).build())
}

/// What was sent until the client went counts, and so does a request that was never answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_is_metered() -> anyhow::Result<()> {
    on_both(async |notes, framework| {
        let acme = notes.acme.id;
        let world = World::start(notes, framework).await?;
        let mut answer = world.alice(Method::GET, "/streams").send().await?;
        let mut read = 0;
        while read < 10 * TEXT.len() {
            let chunk = answer.chunk().await?;
            read += chunk.map_or(0, |chunk| chunk.len());
        }
        drop(answer);
        let mut wanted = named([("GET /streams 200", 1)]);
        // actix-web goes on with a handler whose client has gone.
        if framework == Framework::Axum {
            let hangs = world
                .alice(Method::GET, "/hangs")
                .timeout(Duration::from_millis(300));
            ensure!(hangs.send().await.is_err());
            wanted.extend(named([("GET /hangs 499", 1)]));
        }
        let reading = counting_again(notes).await?;
        world.stop().await?;
        let told = requests_of(&reading, acme).await?;
        ensure!(told == wanted, "{told:?}");
        let bytes = series(&reading, acme, "http-response-bytes", &["route"]).await?;
        let Some((sent, 1)) = bytes.get("/streams") else {
            anyhow::bail!("{bytes:?}");
        };
        ensure!(
            *sent >= read.into() && (sent % Decimal::from(12)).is_zero(),
            "{sent} of {read}"
        );
        ensure!(bytes.len() == 1, "{bytes:?}");
        reading.close().await?;
        Ok(())
    })
    .await
}

/// A mistake shows at the start, and no room for a meter fails no request.
#[tokio::test]
async fn meters_that_are_missing_are_told_and_no_room_fails_no_request() -> anyhow::Result<()> {
    let other = UsageMeters::http()
        .into_iter()
        .map(|meter| match meter.name() {
            "http-seconds" => UsageMeter::max("http-seconds"),
            _ => meter,
        });
    for (meters, name) in [
        (
            UsageMeters::new([UsageMeter::count("requests")])?,
            "`http-requests` is not",
        ),
        (UsageMeters::new(other)?, "`http-seconds` adds up otherwise"),
    ] {
        let sink = Arc::new(MemoryUsage::new(meters.clone()));
        let recorder = UsageRecorder::builder(sink, meters).build();
        let refused = RequestUsage::new(&recorder)
            .err()
            .map(|error| error.to_string());
        let told = refused.as_deref().unwrap_or_default();
        ensure!(
            told.contains(name) && told.contains("UsageMeters::http()"),
            "{refused:?}"
        );
    }
    on_every_server(async |notes| {
        let meters = UsageMeters::new(UsageMeters::http())?;
        let sink = Arc::new(MemoryUsage::new(meters.clone()));
        let recorder = UsageRecorder::builder(sink.clone(), meters)
            .capacity(2)
            .build();
        let requests = RequestUsage::new(&recorder)?;
        let serving = serve(Framework::Axum, &notes.tenancy, &requests).await?;
        let asked = reqwest::Client::new()
            .get(format!("http://{}/notes/1", serving.address))
            .header("host", "acme.notes.example")
            .bearer_auth(token(notes.alice)?);
        ensure!(asked.send().await?.status() == 200);
        serving.stop().await?;
        recorder.close(Duration::from_secs(10)).await?;
        ensure!(requests.lost() == 1, "{}", requests.lost());
        // What there was room for counts.
        ensure!(requests_of(&*sink, notes.acme.id).await? == named([("GET /notes/{id} 200", 1)]));
        Ok(())
    })
    .await
}
