//! Every answer is for its own question, however many clients share the sessions of the server.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tenancy_core::TenantContext;
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::{Random, long, notes::sqlstate, seed};
use tokio::task::JoinSet;

use crate::through_every_kind;

const CLIENTS: u32 = 8;

/// What PgBouncer does not keep track of: both clients call their first statement `sqlx_s_1`.
#[tokio::test]
async fn plain_clients_get_in_each_others_way_where_statements_are_not_kept() -> anyhow::Result<()>
{
    through_every_kind(1, async |through| {
        let (mut one, mut other) = (through.raw().await?, through.raw().await?);
        let mut tx = one.begin().await?;
        let told: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut *tx).await?;
        assert_eq!(told, 1);
        tx.commit().await?;
        let mut tx = other.begin().await?;
        let asked = sqlx::query_scalar::<_, i32>("SELECT 2");
        let told = sqlstate(asked.fetch_one(&mut *tx).await);
        let kept = through.kind.keeps_statements;
        let expected = if kept { "00000" } else { "42P05" };
        assert_eq!(told, expected, "through {through:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_for_its_own_question_and_tenant() -> anyhow::Result<()> {
    let seed = seed()?;
    through_every_kind(2, async |through| {
        let options = TenantPoolOptions::new().max_connections(CLIENTS);
        let pool = through.pool(options).await?;
        let notes = through.notes;
        let tenants = [
            (notes.context(&notes.acme), 3),
            (notes.context(&notes.globex), 5),
        ];
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let random = Random::new(seed + u64::from(client));
            clients.spawn(ask(pool.clone(), tenants.clone(), client, random));
        }
        let mut asked = 0;
        for done in clients.join_all().await {
            asked += done?;
        }
        println!("{asked} questions through {through:?}");
        Ok(())
    })
    .await
}

/// Asks questions of which no other client asks any, as tenants that have so many notes each.
async fn ask(
    pool: TenantPool,
    tenants: [(TenantContext, i64); 2],
    client: u32,
    mut random: Random,
) -> anyhow::Result<u32> {
    let started = Instant::now();
    let mut asked = 0;
    while asked < 200 || long() && started.elapsed() < Duration::from_secs(20) {
        let [acme, globex] = &tenants;
        let (context, notes) = if random.below(2) == 0 { acme } else { globex };
        if random.below(2) == 0 {
            let mut reading = pool.read(context).await?;
            for _ in 0..random.below(4) {
                one_question(&mut reading, client, *notes, &mut random).await?;
                asked += 1;
            }
        } else {
            let mut tx = pool.begin(context).await?;
            one_question(&mut tx, client, *notes, &mut random).await?;
            tx.commit().await?;
            asked += 1;
        }
    }
    Ok(asked)
}

/// One of more texts than sqlx keeps prepared.
async fn one_question(
    connection: &mut PgConnection,
    client: u32,
    notes: i64,
    random: &mut Random,
) -> anyhow::Result<()> {
    let n = i64::from(client) * 1000 + i64::try_from(random.below(150))?;
    let question = format!("SELECT {n}::bigint, $1::bigint, (SELECT count(*) FROM notes)");
    let nonce = i64::try_from(random.below(1 << 40))?;
    let told: (i64, i64, i64) = sqlx::query_as(AssertSqlSafe(question))
        .bind(nonce)
        .persistent(random.below(4) > 0)
        .fetch_one(connection)
        .await?;
    anyhow::ensure!(
        told == (n, nonce, notes),
        "{told:?} for {n}, {nonce}, {notes}"
    );
    Ok(())
}
