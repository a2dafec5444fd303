//! The peer's address, for servers that do not tell it as axum does.

use std::net::IpAddr;

/// The address at the other end of the connection, as a request extension.
///
/// Not needed with `into_make_service_with_connect_info::<SocketAddr>()`, whose
/// [`ConnectInfo`](axum::extract::ConnectInfo) is read as well. Insert it where the connect info is
/// a type of your own, or where the server is not axum's; it goes before the connect info.
///
/// # Security
/// Take it from the connection, never from a header field: which header fields are believed
/// depends on it.
///
/// ```
/// use std::net::IpAddr;
/// use tenancy_axum::PeerAddr;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(PeerAddr(IpAddr::from([10, 0, 0, 1])));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub IpAddr);
