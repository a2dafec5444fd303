//! A slot that moves key by key while it is used.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tenancy_tests::RedisCluster;
use tokio::{task::JoinSet, time::sleep};

use super::{
    subject::{Kind, Outcome, PATIENCE, Subject},
    tag,
};

const KEYS: usize = 20_000;
const ROUNDS: usize = 3;

pub(crate) async fn print() -> anyhow::Result<()> {
    println!(
        "\nA slot of {KEYS} keys moves key by key, {ROUNDS} times each. Silent: each of six questions after the move has no \
         answer within {PATIENCE:?}.\n"
    );
    println!(
        "| way | script | callers | move takes | answered | errors | never answered | longest wait | silent afterwards | \
         counted |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let cluster = RedisCluster::start().await?;
    let mut number = 100;
    for with_id in [false, true] {
        // What has no id may not be asked again.
        let ours = if with_id { Kind::Ours } else { Kind::OursOnce };
        for callers in [1, 16, 64] {
            for kind in [Kind::Driver, ours] {
                let mut total = Row::default();
                for _ in 0..ROUNDS {
                    number += 1;
                    let row = round(&cluster, kind, with_id, callers, number).await?;
                    total.add(&row);
                }
                let script = if with_id { "with an id" } else { "plain" };
                println!(
                    "| {} | {script} | {callers} | {:.1} s | {} | {} | {} | {:.1} s | {} of {ROUNDS} | {} |",
                    kind.name(),
                    total.moved.as_secs_f64(),
                    total.done,
                    total.failed,
                    total.unanswered,
                    total.longest.as_secs_f64(),
                    total.silent,
                    if total.wrong == 0 {
                        "exactly".to_owned()
                    } else {
                        format!("wrongly in {}", total.wrong)
                    },
                );
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Row {
    /// The longest of the moves.
    moved: Duration,
    done: u64,
    failed: u64,
    unanswered: u64,
    longest: Duration,
    silent: u32,
    /// Whether more or less was counted than can be.
    wrong: u32,
}

impl Row {
    fn add(&mut self, other: &Self) {
        self.moved = self.moved.max(other.moved);
        self.done += other.done;
        self.failed += other.failed;
        self.unanswered += other.unanswered;
        self.longest = self.longest.max(other.longest);
        self.silent += other.silent;
        self.wrong += other.wrong;
    }

    fn told(&mut self, outcome: Outcome, waited: Duration) {
        match outcome {
            Outcome::Done => self.done += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Unanswered => self.unanswered += 1,
        }
        self.longest = self.longest.max(waited);
    }
}

async fn round(
    cluster: &RedisCluster,
    kind: Kind,
    with_id: bool,
    callers: usize,
    number: usize,
) -> anyhow::Result<Row> {
    let (tag, slot) = tag(number);
    let fill: Vec<[String; 3]> = (0..KEYS)
        .map(|key| ["SET".into(), format!("{{{tag}}}:{key}"), "x".into()])
        .collect();
    cluster.node(0).ask_all::<(), _, _>(&fill).await?;
    let subject = Arc::new(Subject::open(kind, &cluster.urls()).await?);
    let is_over = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(0));
    let mut load = JoinSet::new();
    for _ in 0..callers {
        let (subject, is_over) = (Arc::clone(&subject), Arc::clone(&is_over));
        let (next, tag) = (Arc::clone(&next), tag.clone());
        load.spawn(async move {
            let mut row = Row::default();
            while !is_over.load(Ordering::SeqCst) {
                let operation = next.fetch_add(1, Ordering::SeqCst);
                let start = Instant::now();
                let outcome = subject.run(with_id, &tag, operation).await;
                row.told(outcome, start.elapsed());
                if outcome != Outcome::Done {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            row
        });
    }
    sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    cluster.move_slot(slot, 0, 1).await?;
    let moved = begun.elapsed();
    sleep(Duration::from_millis(500)).await;
    is_over.store(true, Ordering::SeqCst);
    let mut row = Row {
        moved,
        ..Row::default()
    };
    while let Some(caller) = load.join_next().await {
        row.add(&caller?);
    }
    let mut heard = 0;
    for _ in 0..6 {
        heard += u32::from(subject.answers(&tag).await);
    }
    row.silent = u32::from(heard == 0);
    let counter = format!("{{{tag}}}:counter");
    let counted: u64 = cluster.node(1).ask(&["GET", &counter]).await?;
    // What no caller knows of may have been counted, once.
    let most = row.done + row.failed + row.unanswered;
    row.wrong = u32::from(!(row.done..=most).contains(&counted));
    // Back to the first node, empty.
    let keys: Vec<String> = cluster
        .node(1)
        .ask(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "10000000"])
        .await?;
    let remove: Vec<_> = keys
        .chunks(1_000)
        .map(|keys| {
            let mut words = vec!["UNLINK"];
            words.extend(keys.iter().map(String::as_str));
            words
        })
        .collect();
    cluster.node(1).ask_all::<(), _, _>(&remove).await?;
    Ok(row)
}
