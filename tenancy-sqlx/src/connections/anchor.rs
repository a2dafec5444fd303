//! Whether the runtime in which a socket was opened still runs.

use tokio::{runtime::Handle, sync::oneshot};

/// Belongs to a connection. A task at the other end lives as long as its runtime and the connection.
///
/// A socket whose runtime has ended may take one more message and fail at the next: a transaction
/// would begin, and its first statement fail. So such a connection is not lent any more.
#[derive(Debug)]
pub(super) struct Anchor(oneshot::Sender<()>);

impl Anchor {
    pub(super) fn in_runtime(runtime: &Handle) -> Self {
        let (anchor, ground) = oneshot::channel::<()>();
        runtime.spawn(async move {
            let _ = ground.await;
        });
        Self(anchor)
    }

    /// Whether the runtime still runs.
    pub(super) fn holds(&self) -> bool {
        !self.0.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn it_holds_until_its_runtime_ends() -> std::io::Result<()> {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = builder.build()?;
            let anchor = Anchor::in_runtime(runtime.handle());
            assert!(anchor.holds());
            runtime.block_on(async { tokio::task::yield_now().await });
            assert!(anchor.holds());
            let handle = runtime.handle().clone();
            drop(runtime);
            assert!(!anchor.holds());
            assert!(!Anchor::in_runtime(&handle).holds());
        }
        Ok(())
    }
}
