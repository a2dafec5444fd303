//! The meters of requests over HTTP, which the adapters fill.

use super::{UsageMeter, UsageMeters};

impl UsageMeters {
    /// The upper bounds of the buckets of the meter `http-took`, in milliseconds and inclusive. What took longer than the
    /// last one is in the bucket `inf`.
    pub const HTTP_TOOK_MS: [u16; 13] = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000,
    ];

    /// The meters of requests over HTTP. Declare them, and the adapters can meter each request.
    ///
    /// | name | adds up by | unit | dimensions |
    /// |---|---|---|---|
    /// | `http-requests` | count | requests | `route`, `method`, `status` |
    /// | `http-request-bytes` | sum | bytes | `route` |
    /// | `http-response-bytes` | sum | bytes | `route` |
    /// | `http-seconds` | sum | seconds | `route` |
    /// | `http-took` | count | requests | `route`, `took` |
    ///
    /// `route` is the pattern that matched, such as `/notes/{id}`, and `-` where none did. `status` is the status code,
    /// such as `200`. `took` is the smallest bound of [`HTTP_TOOK_MS`](Self::HTTP_TOOK_MS) that is not below the duration,
    /// in milliseconds, or `inf`.
    ///
    /// ```
    /// use tenancy_usage::{UsageMeter, UsageMeters};
    ///
    /// let meters = UsageMeters::new(UsageMeters::http().into_iter().chain([UsageMeter::count("exports")]))?;
    /// assert!(meters.get("http-requests").is_some_and(|meter| meter.has_dimension("status")));
    /// # Ok::<(), tenancy_core::ConfigError>(())
    /// ```
    pub fn http() -> Vec<UsageMeter> {
        vec![
            UsageMeter::count("http-requests")
                .unit("requests")
                .dimension("route")
                .dimension("method")
                .dimension("status"),
            UsageMeter::sum("http-request-bytes")
                .unit("bytes")
                .dimension("route"),
            UsageMeter::sum("http-response-bytes")
                .unit("bytes")
                .dimension("route"),
            UsageMeter::sum("http-seconds")
                .unit("seconds")
                .dimension("route"),
            UsageMeter::count("http-took")
                .unit("requests")
                .dimension("route")
                .dimension("took"),
        ]
    }
}
