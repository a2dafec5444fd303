//! One read through each kind of pool, by turns: sqlx's own with its ping off, hooks that name the
//! tenant at each acquire (the way of tenaxum 0.2), and ours in each mode.

mod fairness;
mod sides;
mod tenants;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tenancy_core::SystemClock;
use tenancy_sqlx::schema::SealWay;
use tenancy_tests::{
    DelayProxy, Server, Version,
    notes::{self, Notes},
};

use crate::ratio::{self, Bound};
use sides::Side;
use tenants::{Draw, Rows};

/// In each pool.
const CONNECTIONS: u32 = 10;

pub(crate) async fn run() -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let world = Notes::start(&server).await?;
    let many = if ratio::hurries() { 100 } else { 100_000 };
    let rows = Arc::new(Rows::new(&world, many).await?);
    let direct = world
        .database
        .options_as("tenancy_app", Some(notes::PASSWORD));

    let sides = sides::all(&world, &direct).await?;
    for (draw, pinned) in [
        (Draw::zipf(1), Bound::AtLeast(1.0)),
        (Draw::zipf(10), Bound::None),
        (Draw::zipf(1_000), Bound::AtLeast(0.6)),
        (Draw::zipf(100_000), Bound::None),
        (Draw::each_another(), Bound::None),
    ] {
        for tasks in [1, 16, 64] {
            let title = format!("Reads per second, loopback, {draw}, {tasks} at a time");
            compare(&title, &sides, &rows, &draw, tasks, pinned).await?;
        }
    }
    let proxy = DelayProxy::for_options(&direct, Duration::from_micros(250))?;
    let delayed = sides::all(&world, &proxy.reroute(direct.clone())).await?;
    for draw in [Draw::zipf(1), Draw::zipf(1_000)] {
        for tasks in [1, 64] {
            let title = format!("Reads per second, round trip 0.5 ms, {draw}, {tasks} at a time");
            compare(&title, &delayed, &rows, &draw, tasks, Bound::None).await?;
        }
    }
    let sides = sides::logged(&world, &direct).await?;
    for tasks in [1, 16] {
        let title = format!("Reads per second with a statement log, loopback, {tasks} at a time");
        compare(
            &title,
            &sides,
            &rows,
            &Draw::zipf(1_000),
            tasks,
            Bound::None,
        )
        .await?;
    }
    fairness::run(&world, &direct, &rows).await?;
    world.database.close().await?;
    for way in [SealWay::Parameter, SealWay::Row] {
        sealed(&server, way).await?;
    }
    Ok(())
}

/// The same in a database whose sessions are sealed.
async fn sealed(server: &Server, way: SealWay) -> anyhow::Result<()> {
    let clock = Arc::new(SystemClock);
    let world = Notes::start_sealed(server, Some(way), clock, |builder| builder).await?;
    let rows = Arc::new(Rows::new(&world, 1_000).await?);
    let sides = sides::all(&world, &world.app_options()).await?;
    for draw in [Draw::zipf(1), Draw::zipf(1_000), Draw::each_another()] {
        let title = format!("Reads per second, sealed by {way}, loopback, {draw}, 16 at a time");
        compare(&title, &sides, &rows, &draw, 16, Bound::None).await?;
    }
    Ok(world.database.close().await?)
}

/// Prints each side's reads per second, and their ratio to the first side's.
async fn compare(
    title: &str,
    sides: &[Side],
    rows: &Arc<Rows>,
    draw: &Draw,
    tasks: usize,
    pinned: Bound,
) -> anyhow::Result<()> {
    ratio::heading(title);
    for side in sides {
        load(side, rows, draw, tasks).await?;
        side.take_counts();
    }
    let end = Instant::now() + ratio::budget() * 2;
    let mut rounds = vec![Vec::new(); sides.len()];
    let mut number = 0;
    while Instant::now() < end || number < 3 {
        for turn in 0..sides.len() {
            // Whoever goes first is changed from round to round.
            let at = (turn + number) % sides.len();
            let (Some(side), Some(round)) = (sides.get(at), rounds.get_mut(at)) else {
                continue;
            };
            round.push(load(side, rows, draw, tasks).await?);
        }
        number += 1;
    }
    let theirs = rounds.first().cloned().unwrap_or_default();
    for (side, ours) in sides.iter().zip(&rounds) {
        let pairs: Vec<_> = ours.iter().copied().zip(theirs.iter().copied()).collect();
        let bound = match side.kind {
            sides::Kind::Switched if !side.is_sealed => Bound::AtLeast(0.5),
            sides::Kind::Pinned => pinned,
            sides::Kind::Logged => Bound::AtLeast(0.85),
            _ => Bound::None,
        };
        let name = match side.take_counts() {
            Some(share) => format!(
                "{}, {:.0} % of sessions named already",
                side.name,
                share * 100.0
            ),
            None => side.name.to_owned(),
        };
        ratio::pair(&name, &pairs, "r/s", bound);
    }
    Ok(())
}

/// Reads per second of so many tasks, for a moment.
async fn load(side: &Side, rows: &Arc<Rows>, draw: &Draw, tasks: usize) -> anyhow::Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            let (side, rows) = (side.clone(), Arc::clone(rows));
            let mut draw = draw.started_at(task);
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    side.read(rows.one(&mut draw)).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    tokio::time::sleep(ratio::budget() / 30).await;
    stop.store(true, Ordering::Relaxed);
    for task in running {
        task.await??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}
