//! The peer's address, for servers that do not tell it.

use std::net::IpAddr;

/// The address at the other end of the connection, as a request extension.
///
/// For servers and listeners that do not tell it themselves; it goes before what they tell.
///
/// # Security
/// Take it from the connection, never from a header field: which header fields are believed
/// depends on it.
///
/// ```
/// use std::net::IpAddr;
/// use tenancy_http::PeerAddr;
///
/// let behind_a_unix_socket = PeerAddr(IpAddr::from([10, 0, 0, 1]));
/// # let _ = behind_a_unix_socket;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a newtype that hosts make")]
pub struct PeerAddr(pub IpAddr);
