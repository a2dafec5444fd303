//! When a watch looks: at a steady pace, and each watch at another moment.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

/// The golden ratio as a part of 2³²: a run of its multiples, however long, falls evenly over the
/// range (Knuth, "The Art of Computer Programming", vol. 3, §6.4).
const GOLDEN: u32 = 0x9E37_79B9;

/// How many watches this process has begun to wait for.
static BEGUN: AtomicU32 = AtomicU32::new(0);

/// The ticks of one watch.
///
/// The timer is made when it is first waited for: a watch may be made outside a runtime.
#[derive(Debug)]
pub(super) struct Pace {
    period: Duration,
    ticks: Option<Interval>,
}

impl Pace {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            ticks: None,
        }
    }

    /// Waits for the next tick, or for so long if that is less. Safe to drop at any point.
    pub(super) async fn tick_within(&mut self, at_most: Duration) {
        let period = self.period;
        let ticks = self.ticks.get_or_insert_with(|| staggered(period));
        if at_most < period {
            // Whichever comes first: both mean that it is time.
            let _ = timeout(at_most, ticks.tick()).await;
        } else {
            ticks.tick().await;
        }
    }
}

/// Ticks that begin anywhere within the first period, and keep their distance from the others'
/// also after a pause.
fn staggered(period: Duration) -> Interval {
    let phase = period.mul_f64(turn(BEGUN.fetch_add(1, Ordering::Relaxed)));
    let now = Instant::now();
    let mut ticks = interval_at(now.checked_add(phase).unwrap_or(now), period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// Where within the period a watch looks, from 0 to below 1.
fn turn(number: u32) -> f64 {
    f64::from(number.wrapping_mul(GOLDEN)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_watches_in_a_row_are_spread_evenly() {
        for first in [0, 77, u32::MAX - 5_000] {
            let mut slots = [0_u32; 100];
            for number in 0..10_000 {
                let turn = turn(u32::wrapping_add(first, number));
                assert!((0.0..1.0).contains(&turn), "{turn}");
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let slot = (turn * 100.0) as usize;
                slots[slot] += 1;
            }
            let (least, most) = (slots.iter().min(), slots.iter().max());
            assert!(least >= Some(&95) && most <= Some(&105), "{slots:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_does_not_bring_watches_together() {
        let period = Duration::from_secs(1);
        let began = Instant::now();
        let mut paces: Vec<_> = (0..10).map(|_| Pace::new(period)).collect();
        let ticks = async |paces: &mut Vec<Pace>| {
            let ticks = paces.iter_mut().map(async |pace| {
                pace.tick_within(period).await;
                (Instant::now() - began).subsec_millis()
            });
            futures_util::future::join_all(ticks).await
        };
        ticks(&mut paces).await;
        tokio::time::advance(Duration::from_secs(100)).await;
        // The ticks that were missed, at once.
        ticks(&mut paces).await;
        let mut moments = ticks(&mut paces).await;
        moments.sort_unstable();
        moments.dedup();
        assert_eq!(moments.len(), 10, "{moments:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_wait_goes_before_the_tick() {
        let period = Duration::from_secs(60);
        let mut pace = Pace::new(period);
        pace.tick_within(period).await;
        let began = Instant::now();
        pace.tick_within(Duration::from_millis(250)).await;
        assert_eq!(began.elapsed().as_millis(), 250);
    }
}
