//! Answers that are lost after the script has been run.

use tenancy_tests::RedisCluster;

use super::{
    subject::{Kind, Outcome, Subject},
    tag,
};

const TRIALS: u64 = 60;

pub(crate) async fn print() -> anyhow::Result<()> {
    println!("An answer is lost after its script has been run, {TRIALS} times:\n");
    println!("| way | script | callers told it is done | callers told an error | counted |");
    println!("|---|---|---|---|---|");
    let rows = [
        (Kind::Driver, false),
        (Kind::DriverOnce, false),
        (Kind::OursOnce, false),
        (Kind::Driver, true),
        (Kind::Ours, true),
    ];
    let cluster = RedisCluster::lossy().await?;
    for (row, (kind, with_id)) in rows.into_iter().enumerate() {
        let (tag, _) = tag(row);
        let subject = Subject::open(kind, &cluster.urls()).await?;
        // Gives the script to the node.
        for code in [super::PLAIN, super::WITH_ID] {
            cluster
                .node(0)
                .ask::<String>(&["SCRIPT", "LOAD", code])
                .await?;
        }
        let before = cluster.lost();
        let (mut done, mut failed) = (0, 0);
        for operation in 0..TRIALS {
            cluster.node(0).ask::<String>(&["PING"]).await?;
            while !subject.answers(&tag).await {}
            cluster.lose_at(0, 1);
            match subject.run(with_id, &tag, operation).await {
                Outcome::Done => done += 1,
                Outcome::Failed | Outcome::Unanswered => failed += 1,
            }
        }
        anyhow::ensure!(cluster.lost() - before == TRIALS, "no answer was lost");
        let counter = format!("{{{tag}}}:counter");
        let counted: u64 = cluster.node(0).ask(&["GET", &counter]).await?;
        let script = if with_id { "with an id" } else { "plain" };
        println!(
            "| {} | {script} | {done} | {failed} | {counted} |",
            kind.name()
        );
    }
    Ok(())
}
