//! Random schemas, protected and shared in random order, and changed afterwards: where a pool would
//! start, nothing of another tenant reaches the service by any relation or function it may use.

mod back;
mod grammar;
mod world;

use tenancy_tests::{Random, Server, long, notes::Notes, seed};

use self::{grammar::Schema, world::World};

/// How many schemas, over all servers.
fn schemas() -> u64 {
    if long() { 5_000 } else { 200 }
}

#[tokio::test]
async fn where_a_pool_starts_nothing_of_another_tenant_is_reached() -> anyhow::Result<()> {
    let seed = seed()?;
    let servers = Server::all().await?;
    let each = schemas().div_ceil(servers.len() as u64);
    for server in servers {
        let notes = Notes::start(&server).await?;
        let mut counts = Counts::default();
        for number in 0..each {
            let mut random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
            let mut world = World::begin(&notes).await?;
            play(&mut random, &mut world, &mut counts)
                .await
                .map_err(|error| {
                    error.context(format!(
                        "TENANCY_SEED={seed}, schema {number}:\n{}",
                        world.story()
                    ))
                })?;
            world.end().await?;
        }
        println!(
            "PostgreSQL {}: {each} schemas, {counts:?}",
            server.version_num().await?
        );
        // A check that refuses everything would be right, and worth nothing.
        anyhow::ensure!(
            counts.started * 4 > each,
            "only {} of {each} schemas start",
            counts.started
        );
        anyhow::ensure!(counts.refused > 0, "nothing was ever refused");
        anyhow::ensure!(
            counts.foreign_rows > each,
            "the other tenant has too few rows"
        );
        notes.database.close().await?;
    }
    Ok(())
}

/// What happened, for the reader and against an empty test.
#[derive(Debug, Default)]
struct Counts {
    /// Times that a pool would start: after the calls, and after the later migrations.
    started: u64,
    /// Times that it would not.
    refused: u64,
    /// Calls of `protect` and `share` that succeeded, and that did not.
    opened: u64,
    kept_closed: u64,
    /// Rows of the other tenant, at each check.
    foreign_rows: u64,
    /// Relations and functions that were read.
    read: u64,
}

async fn play(random: &mut Random, world: &mut World, counts: &mut Counts) -> anyhow::Result<()> {
    let mut schema = Schema::new(random);
    for statement in schema.make(random) {
        world.try_run(&statement).await?;
    }
    if random.below(2) == 0 {
        world.fill(&schema.tables).await?;
    }
    for _ in 0..2 {
        for call in schema.calls(random) {
            match world.try_run(&call).await? {
                true => counts.opened += 1,
                false => counts.kept_closed += 1,
            }
        }
    }
    world.fill(&schema.tables).await?;
    check(world, counts).await?;

    let later = schema.later(random);
    for statement in later {
        world.try_run(&statement).await?;
    }
    world.fill(&schema.tables).await?;
    check(world, counts).await
}

async fn check(world: &mut World, counts: &mut Counts) -> anyhow::Result<()> {
    world.refresh().await?;
    if !world.starts().await? {
        counts.refused += 1;
        return Ok(());
    }
    counts.started += 1;
    let before = world.foreign_rows().await?;
    counts.foreign_rows += before.len() as u64;
    counts.read += world.search().await?;
    let after = world.foreign_rows().await?;
    anyhow::ensure!(
        before == after,
        "rows of the other tenant were changed: {before:?}, then {after:?}"
    );
    Ok(())
}
