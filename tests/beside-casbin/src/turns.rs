//! Times of several sides that are measured by turns.

use std::time::Instant;

/// Nanoseconds for each of so many calls.
pub(crate) fn time(calls: usize, mut call: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..calls {
        call();
    }
    began.elapsed().as_nanos() as f64 / calls as f64
}

/// Prints the median of each side, and what it is to that of the first.
pub(crate) fn print(called: &str, sides: &[&str], times: impl IntoIterator<Item = Vec<f64>>) {
    println!("{called}:");
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    for (side, time) in sides.iter().zip(&medians) {
        let first = time / medians[0];
        println!("  {time:12.1} ns  it : the first = {first:10.1}  {side}");
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
