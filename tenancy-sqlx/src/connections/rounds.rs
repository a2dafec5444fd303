//! What is looked after from time to time: connections that are due, and the least that are open.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::select;
use tokio::time::sleep;

use super::stock::Stock;

/// The longest time between two rounds.
const PERIOD: Duration = Duration::from_secs(30);

/// Makes rounds until the pool is closed or dropped.
pub(super) fn start(stock: &Arc<Stock>) {
    let limits = [stock.settings.max_lifetime, stock.settings.idle_timeout];
    let shortest = limits.into_iter().flatten().min().unwrap_or(PERIOD);
    let period = shortest.clamp(Duration::from_millis(10), PERIOD);
    let mut closing = stock.closing();
    let stock_of_others = Arc::downgrade(stock);
    stock.home().spawn(async move {
        let closed = closing.wait_for(|closing| *closing);
        let rounds = async {
            while let Some(stock) = stock_of_others.upgrade() {
                stock.close_due();
                stock.open_least();
                drop(stock);
                sleep(period).await;
            }
        };
        select(pin!(rounds), pin!(closed)).await;
    });
}
