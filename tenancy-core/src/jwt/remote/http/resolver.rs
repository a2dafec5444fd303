//! Name resolution that refuses private addresses.

use std::{io, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::AddressRule;

/// Resolves names by the system's means and checks what comes back.
///
/// The client connects to the very addresses that are returned here and resolves nothing again. So
/// a name that is public when it is checked and private a moment later (DNS rebinding) gains
/// nothing.
#[derive(Debug)]
pub(super) struct CheckedResolver(pub(super) Arc<AddressRule>);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let rule = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.collect();
            if rule.admits_all(addresses.iter().map(SocketAddr::ip)) {
                Ok(Box::new(addresses.into_iter()) as Addrs)
            } else {
                let message = "the host's name stands for a private address, or for none";
                Err(io::Error::new(io::ErrorKind::PermissionDenied, message).into())
            }
        })
    }
}
