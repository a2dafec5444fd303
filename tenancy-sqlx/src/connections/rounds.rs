//! What is looked after from time to time: sessions that are worn, connections that are due, the least
//! that are open, and what the log is told.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::select;
use tokio::time::sleep;

use super::stock::{Stock, WORN_FOR_MOST};

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
            let tick = period.min(WORN_FOR_MOST);
            let mut since_round = period;
            while let Some(stock) = stock_of_others.upgrade() {
                stock.tidy_due();
                if since_round >= period {
                    since_round = Duration::ZERO;
                    stock.close_due();
                    stock.open_least();
                    report(&stock);
                }
                drop(stock);
                sleep(tick).await;
                since_round += tick;
            }
        };
        select(pin!(rounds), pin!(closed)).await;
    });
}

/// Says how busy the pool is, and with whom, if somebody waits or had to wait since the last round.
fn report(stock: &Stock) {
    let waits = stock.tally.take_waits();
    let level = stock.queue().level(Instant::now());
    if waits.callers == 0 && level.waiting == 0 {
        return;
    }
    tracing::debug!(
        size = level.open,
        in_use = level.in_use(),
        waiting = level.waiting,
        waited = waits.callers,
        longest_wait = ?waits.longest.max(level.longest_wait()),
        "connections were waited for"
    );
    for (tenant, load) in level.busiest() {
        tracing::debug!(
            tenant.id = %tenant,
            in_use = load.held,
            waiting = load.waiting,
            longest_wait = ?load.longest_wait,
            "a tenant uses connections"
        );
    }
}
