//! Meters that many services have, ready to be declared.

use super::{UsageMeter, UsageMeters};

impl UsageMeters {
    /// Meters that many services have, to copy from or to start with.
    ///
    /// | name | adds up by | unit | dimensions |
    /// |---|---|---|---|
    /// | `requests` | count | requests | `route`, `outcome` |
    /// | `llm-input-tokens`, `llm-output-tokens` | sum | tokens | `model` |
    /// | `compute-seconds` | sum | seconds | `machine`, `region` |
    /// | `stored-bytes` | latest | bytes | – |
    /// | `processed-bytes` | sum | bytes | `region` |
    /// | `exports` | count | exports | `format` |
    /// | `connections` | max | connections | – |
    /// | `active-users` | unique | users | – |
    ///
    /// ```
    /// use tenancy_usage::{Aggregation, UsageMeter, UsageMeters};
    ///
    /// let of_my_own = UsageMeter::sum("pages-rendered").unit("pages");
    /// let meters = UsageMeters::new(UsageMeters::catalogue().into_iter().chain([of_my_own]))?;
    /// let tokens = meters.get("llm-output-tokens").ok_or("not declared")?;
    /// assert_eq!((tokens.aggregation(), tokens.unit_name()), (Aggregation::Sum, "tokens"));
    /// assert!(tokens.has_dimension("model"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn catalogue() -> Vec<UsageMeter> {
        vec![
            UsageMeter::count("requests")
                .dimension("route")
                .dimension("outcome"),
            UsageMeter::sum("llm-input-tokens")
                .unit("tokens")
                .dimension("model"),
            UsageMeter::sum("llm-output-tokens")
                .unit("tokens")
                .dimension("model"),
            UsageMeter::sum("compute-seconds")
                .unit("seconds")
                .dimension("machine")
                .dimension("region"),
            UsageMeter::latest("stored-bytes").unit("bytes"),
            UsageMeter::sum("processed-bytes")
                .unit("bytes")
                .dimension("region"),
            UsageMeter::count("exports").dimension("format"),
            UsageMeter::max("connections"),
            UsageMeter::unique("active-users").unit("users"),
        ]
    }
}
