//! The series of each route, looked up once.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use crate::{UsageEvent, UsageMeters, UsageRecorder, UsageSeries};

/// The methods of the standards (RFC 9110, RFC 5789). Others are counted together, because a caller can make up any.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];
const OTHER_METHOD: &str = "other";

/// What stands for no route.
const NO_ROUTE: &str = "-";

/// The routes of a service, of which there are as many as it has declared.
#[derive(Default)]
pub(super) struct Routes(RwLock<HashMap<Box<str>, Arc<RouteSeries>>>);

impl Routes {
    pub(super) fn get(&self, pattern: Option<&str>) -> Arc<RouteSeries> {
        let name = named(pattern);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = known.get(name) {
            return Arc::clone(route);
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let route = known
            .entry(name.into())
            .or_insert_with(|| Arc::new(RouteSeries::new(name)));
        Arc::clone(route)
    }
}

/// A pattern as a value of a dimension, which is not empty and has a bound.
fn named(pattern: Option<&str>) -> &str {
    match pattern {
        None => NO_ROUTE,
        Some("") => "/",
        Some(pattern) => {
            let longest = pattern.len().min(UsageEvent::MAX_TEXT);
            let cuts = (0..=longest).rev().map(|end| pattern.get(..end));
            cuts.flatten().next().unwrap_or(NO_ROUTE)
        }
    }
}

/// The series of a route. One for which the recorder has no room is looked up again.
pub(super) struct RouteSeries {
    name: Box<str>,
    sums: [OnceLock<UsageSeries>; 3],
    took: [OnceLock<UsageSeries>; UsageMeters::HTTP_TOOK_MS.len() + 1],
    requests: RwLock<HashMap<(&'static str, u16), UsageSeries>>,
}

impl RouteSeries {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            sums: Default::default(),
            took: Default::default(),
            requests: RwLock::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of requests, bytes of responses, and seconds.
    pub(super) fn sums(&self, recorder: &UsageRecorder) -> [Option<UsageSeries>; 3] {
        let of = |place: &OnceLock<_>, meter| {
            kept(place, || {
                recorder.series(meter, [("route", &*self.name)]).ok()
            })
        };
        let [bytes_in, bytes_out, seconds] = &self.sums;
        [
            of(bytes_in, "http-request-bytes"),
            of(bytes_out, "http-response-bytes"),
            of(seconds, "http-seconds"),
        ]
    }

    /// The bucket of a duration.
    pub(super) fn took(&self, recorder: &UsageRecorder, took: Duration) -> Option<UsageSeries> {
        let bounds = UsageMeters::HTTP_TOOK_MS;
        let place = bounds.partition_point(|bound| Duration::from_millis((*bound).into()) < took);
        kept(self.took.get(place)?, || {
            let bound = bounds.get(place).map(u16::to_string);
            let dimensions = [
                ("route", &*self.name),
                ("took", bound.as_deref().unwrap_or("inf")),
            ];
            recorder.series("http-took", dimensions).ok()
        })
    }

    /// The requests of a method and a status.
    pub(super) fn requests(
        &self,
        recorder: &UsageRecorder,
        method: &str,
        status: u16,
    ) -> Option<UsageSeries> {
        let method = METHODS.into_iter().find(|known| *known == method);
        let key = (method.unwrap_or(OTHER_METHOD), status);
        let known = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(&key) {
            return Some(series.clone());
        }
        drop(known);
        let code = status.to_string();
        let dimensions = [
            ("route", &*self.name),
            ("method", key.0),
            ("status", &*code),
        ];
        let series = recorder.series("http-requests", dimensions).ok()?;
        let mut known = self
            .requests
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.insert(key, series.clone());
        Some(series)
    }
}

fn kept(
    place: &OnceLock<UsageSeries>,
    look_up: impl FnOnce() -> Option<UsageSeries>,
) -> Option<UsageSeries> {
    if let Some(series) = place.get() {
        return Some(series.clone());
    }
    let series = look_up()?;
    Some(place.get_or_init(|| series).clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::MemoryUsage;

    #[test]
    fn a_route_is_a_value_of_a_dimension_whatever_its_pattern() {
        assert_eq!(named(None), "-");
        assert_eq!(named(Some("")), "/");
        assert_eq!(named(Some("/notes/{id}")), "/notes/{id}");
        let long = "ä".repeat(100);
        assert_eq!(named(Some(&long)), "ä".repeat(64));
    }

    #[tokio::test]
    async fn a_bucket_has_its_bound_and_a_made_up_method_is_another() {
        let meters = UsageMeters::new(UsageMeters::http()).unwrap();
        let sink = Arc::new(MemoryUsage::new(meters.clone()));
        let recorder = UsageRecorder::builder(sink, meters).build();
        let route = RouteSeries::new("/");
        for (micros, bound) in [
            (0, "1"),
            (1_000, "1"),
            (1_001, "2"),
            (10_000_000, "10000"),
            (10_000_001, "inf"),
        ] {
            let series = route
                .took(&recorder, Duration::from_micros(micros))
                .unwrap();
            let same = recorder
                .series("http-took", [("route", "/"), ("took", bound)])
                .unwrap();
            assert!(series.is_same(&same), "{micros}");
        }
        let made_up = route.requests(&recorder, "BREW", 200).unwrap();
        let other = [("route", "/"), ("method", "other"), ("status", "200")];
        assert!(made_up.is_same(&recorder.series("http-requests", other).unwrap()));
    }
}
