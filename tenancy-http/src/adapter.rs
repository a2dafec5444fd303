//! How an adapter names its parts, for messages that say what to do.

/// The words of one adapter: what its users would have to write.
#[derive(Debug, Clone, Copy)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a constant that each adapter writes out"
)]
pub struct Adapter {
    /// The type that admits requests, such as `TenancyLayer`.
    pub layer: &'static str,
    /// What covers a route that nothing covers: "add `…` to …".
    pub cover: &'static str,
    /// What declares that a route has a tenant: "declare … with `…`".
    pub declare: &'static str,
}
