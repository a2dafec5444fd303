//! A real standby of a sealed database, where no row is written.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, postgres::PgConnectOptions};
use tenancy_core::SystemClock;
use tenancy_sqlx::{TenantPool, TenantPoolOptions, TxOptions, schema::SealWay};
use tenancy_tests::{
    Server, Version,
    notes::{Notes, PASSWORD, SEAL_SECRET, comes_back, seal_key, sqlstate},
};

use crate::{
    injection::{MODES, attack},
    talk::{Seal, Session},
};

/// `acme` with 3 notes and `globex` with 5, on a primary and on its standby.
struct World {
    notes: Notes,
    standby: Server,
}

impl World {
    async fn start(version: Version, way: SealWay) -> anyhow::Result<Option<Self>> {
        let Some(server) = Server::fresh_or_skip(version, "").await? else {
            return Ok(None);
        };
        let clock = Arc::new(SystemClock);
        let notes = Notes::start_sealed(&server, Some(way), clock, |builder| builder).await?;
        notes.seed(&notes.acme, 3).await?;
        notes.seed(&notes.globex, 5).await?;
        let standby = server.standby().await?;
        let world = Self { notes, standby };
        let mut admin = world.admin().connect().await?;
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM notes WHERE pg_is_in_recovery()")
            .fetch_one(&mut admin)
            .await?;
        assert_eq!(there, 8, "both tenants' rows are on the standby");
        Ok(Some(world))
    }

    fn admin(&self) -> PgConnectOptions {
        let admin = self.standby.admin_options();
        admin.database(self.notes.database.name())
    }

    /// The service's login at the standby.
    fn login(&self) -> PgConnectOptions {
        self.admin().username("tenancy_app").password(PASSWORD)
    }

    async fn session(&self) -> anyhow::Result<Session> {
        Session::open_at(&self.login(), &self.notes).await
    }

    /// A session that names `acme`, by its first seal.
    async fn named(&self) -> anyhow::Result<Session> {
        let mut session = self.session().await?;
        let seal = session.seal(1, self.notes.acme.id.as_uuid()).sql()?;
        assert_eq!(session.present(&seal).await?, "00000");
        assert_eq!(session.seen().await?, [(self.notes.acme.id.as_uuid(), 3)]);
        Ok(session)
    }

    /// A pool that knows of no other server.
    async fn pool(&self, options: TenantPoolOptions) -> anyhow::Result<TenantPool> {
        let options = options.seal_key(seal_key()?);
        Ok(options
            .connect_with(self.login(), &self.notes.tenancy)
            .await?)
    }
}

async fn on_every_standby(
    ways: &[SealWay],
    test: impl AsyncFn(&World) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for version in [Version::Default, Version::V18] {
        for &way in ways {
            if let Some(world) = World::start(version, way).await? {
                test(&world)
                    .await
                    .with_context(|| format!("{version:?}, sealed by {way}"))?;
            }
        }
    }
    Ok(())
}

/// A standby hears of some positions only every 15 seconds.
const HEARS: Duration = Duration::from_secs(40);

const BOTH: &[SealWay] = &[SealWay::Parameter, SealWay::Row];

/// What a session keeps there.
async fn kept(session: &mut Session) -> anyhow::Result<String> {
    Ok(
        sqlx::query_scalar("SELECT current_setting('tenancy.sealed')")
            .fetch_one(&mut **session)
            .await?,
    )
}

async fn keep(session: &mut Session, kept: &str) -> anyhow::Result<()> {
    let keep = format!("SELECT set_config('tenancy.sealed', '{kept}', false)");
    session.execute(AssertSqlSafe(keep)).await?;
    Ok(())
}

/// What a session keeps, with its time moved and a code over that.
async fn with_time(session: &mut Session, until: i64) -> anyhow::Result<String> {
    let (process, started): (String, Vec<u8>) = sqlx::query_as(
        "SELECT concat_ws(',', pg_backend_pid(), coalesce(host(inet_client_addr()), ''),
             coalesce(inet_client_port(), 0)), timestamptz_send(pg_postmaster_start_time())",
    )
    .fetch_one(&mut **session)
    .await?;
    let kept = kept(session).await?;
    let mut parts = kept.splitn(4, ',').skip(1);
    let key = parts.next().context("a key")?;
    let said = parts.nth(1).context("what is kept")?;
    let signed = format!("{key},{until},{said}");
    let mut keyed = Hmac::<Sha256>::new_from_slice(SEAL_SECRET)?;
    keyed.update(format!("tenancy standby 1,{process},{signed}").as_bytes());
    keyed.update(&started);
    let code = keyed.finalize().into_bytes();
    let code: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{code},{signed}"))
}

#[tokio::test]
async fn a_pool_reads_each_tenants_own_rows_on_a_replica() -> anyhow::Result<()> {
    on_every_standby(BOTH, async |world| {
        let options = TenantPoolOptions::new()
            .max_connections(1)
            .replica_with(world.login());
        let pool = world.notes.pool(options).await?;
        let own = [(&world.notes.acme, 3), (&world.notes.globex, 5)];
        for (tenant, _) in own {
            let reader = pool.tenant(&world.notes.context(tenant))?.reader();
            let deadline = Instant::now() + HEARS;
            loop {
                let on_standby = sqlx::query_scalar("SELECT pg_is_in_recovery()");
                if on_standby.fetch_one(&reader).await? {
                    break;
                }
                anyhow::ensure!(Instant::now() < deadline, "the primary goes on answering");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        for _ in 0..10 {
            for (tenant, own) in own {
                let reader = pool.tenant(&world.notes.context(tenant))?.reader();
                let seen: (i64, bool) =
                    sqlx::query_as("SELECT count(*), pg_is_in_recovery() FROM notes")
                        .fetch_one(&reader)
                        .await?;
                assert_eq!(seen, (own, true));
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nothing_names_another_tenant_on_a_standby() -> anyhow::Result<()> {
    on_every_standby(BOTH, async |world| {
        for sessions in MODES {
            let options = TenantPoolOptions::new()
                .max_connections(1)
                .sessions(sessions);
            let pool = world.pool(options).await?;
            attack(&world.notes, &pool, &TxOptions::new().read_only()).await?;
            pool.close().await;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn seals_are_refused_on_a_standby_as_on_a_primary() -> anyhow::Result<()> {
    on_every_standby(BOTH, async |world| {
        let (acme, globex) = (
            world.notes.acme.id.as_uuid(),
            world.notes.globex.id.as_uuid(),
        );
        let mut session = world.named().await?;
        let mut other = world.session().await?;
        let good = session.seal(2, globex);
        let code = good.code(SEAL_SECRET)?;
        let forged = Seal {
            tenant: acme,
            ..good.clone()
        };
        let over = Seal {
            expires: good.expires - 60_000_000,
            ..good.clone()
        };
        for (what, seal, state) in [
            ("another tenant's", forged.with(&code), "42501"),
            ("cut", good.with(&code[..62]), "42501"),
            ("without a code", good.with(""), "42501"),
            ("expired", over.sql()?, "55000"),
            ("another session's", other.seal(2, globex).sql()?, "55000"),
            ("used", session.seal(1, acme).sql()?, "42501"),
        ] {
            assert_eq!(session.present(&seal).await?, state, "{what}");
            assert_eq!(session.seen().await?, [(acme, 3)], "{what}");
        }
        assert_eq!(other.present(&good.sql()?).await?, "55000");
        assert_eq!(session.present(&good.sql()?).await?, "00000");
        assert_eq!(session.seen().await?, [(globex, 5)]);
        session.execute("SELECT tenancy_seal.leave()").await?;
        assert_eq!(session.seen().await?, []);
        assert_eq!(session.present(&good.sql()?).await?, "42501");
        session.execute("SELECT tenancy_seal.open()").await?;
        assert_eq!(session.present(&good.sql()?).await?, "55000");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_session_keeps_is_good_as_it_is_and_there() -> anyhow::Result<()> {
    on_every_standby(&[SealWay::Row], async |world| {
        let (acme, globex) = (
            world.notes.acme.id.as_uuid(),
            world.notes.globex.id.as_uuid(),
        );
        let (mut session, mut other) = (world.named().await?, world.session().await?);
        let own = kept(&mut session).await?;
        let renamed = own.replace(&acme.simple().to_string(), &globex.simple().to_string());
        assert_ne!(renamed, own);
        for bad in [
            renamed,
            own[1..].to_owned(),
            own[..own.len() - 1].to_owned(),
            own.replacen(",1,", ",2,", 1),
            own.replacen(",1,", ",x,", 1),
            format!("{own},"),
            kept(&mut other).await?,
            String::new(),
        ] {
            keep(&mut session, &bad).await?;
            assert_eq!(session.seen().await?, [], "{bad}");
            let again = session.seal(2, acme).sql()?;
            assert_eq!(session.present(&again).await?, "55000", "{bad}");
        }
        keep(&mut session, &own).await?;
        assert_eq!(session.seen().await?, [(acme, 3)]);
        keep(&mut other, &own).await?;
        assert_eq!(other.seen().await?, []);
        assert_eq!(other.present(&session.seal(2, acme).sql()?).await?, "55000");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_name_ends_between_transactions_and_says_so() -> anyhow::Result<()> {
    on_every_standby(&[SealWay::Row], async |world| {
        let acme = world.notes.acme.id.as_uuid();
        let mut session = world.named().await?;
        let over = with_time(&mut session, 1_000_000).await?;
        keep(&mut session, &over).await?;
        let set = format!("SELECT set_config('tenancy.tenant_id', '{acme}', false)");
        session.execute(AssertSqlSafe(set)).await?;
        let read = session.execute("SELECT FROM notes").await;
        assert_eq!(sqlstate(read), "55000");
        // It is named anew as if nothing was.
        let seal = session.seal(2, acme).sql()?;
        assert_eq!(session.present(&seal).await?, "00000");
        assert_eq!(session.seen().await?, [(acme, 3)]);
        let over = with_time(&mut session, 1_000_000).await?;
        keep(&mut session, &over).await?;
        session.execute("SELECT tenancy_seal.leave()").await?;
        assert_eq!(session.seen().await?, []);

        // Not within one.
        let mut session = world.named().await?;
        session.execute("BEGIN").await?;
        let began: i64 = sqlx::query_scalar(
            "SELECT ceil(extract(epoch FROM transaction_timestamp()) * 1000000)::bigint",
        )
        .fetch_one(&mut *session)
        .await?;
        let ends_meanwhile = with_time(&mut session, began + 1).await?;
        keep(&mut session, &ends_meanwhile).await?;
        assert_eq!(session.seen().await?, [(acme, 3)]);
        session.execute("COMMIT; BEGIN").await?;
        let read = session.execute("SELECT FROM notes").await;
        assert_eq!(sqlstate(read), "55000");
        Ok(())
    })
    .await
}

/// What can't be had where nothing is stored; see `docs/sealed-sessions.md`.
#[tokio::test]
async fn who_was_in_a_session_before_may_use_a_seal_again() -> anyhow::Result<()> {
    on_every_standby(&[SealWay::Row], async |world| {
        let (acme, globex) = (
            world.notes.acme.id.as_uuid(),
            world.notes.globex.id.as_uuid(),
        );
        let mut session = world.named().await?;
        let before = kept(&mut session).await?;
        let good = session.seal(2, globex);
        let over = Seal {
            expires: good.expires - 60_000_000,
            ..good.clone()
        };
        assert_eq!(session.present(&good.sql()?).await?, "00000");
        let next = session.seal(3, acme).sql()?;
        assert_eq!(session.present(&next).await?, "00000");
        assert_eq!(session.present(&good.sql()?).await?, "42501");
        keep(&mut session, &before).await?;
        assert_eq!(session.present(&over.sql()?).await?, "55000");
        assert_eq!(session.present(&good.sql()?).await?, "00000");
        assert_eq!(session.seen().await?, [(globex, 5)]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_that_is_retired_names_nobody_on_a_standby() -> anyhow::Result<()> {
    on_every_standby(&[SealWay::Row], async |world| {
        let acme = world.notes.acme.id.as_uuid();
        let mut session = world.named().await?;
        let set = format!("SELECT set_config('tenancy.tenant_id', '{acme}', false)");
        session.execute(AssertSqlSafe(set)).await?;
        let seal = session.seal(2, acme).sql()?;
        let mut admin = world.notes.database.admin().await?;
        tenancy_sqlx::schema::retire_seal_key(&mut admin, 1).await?;
        comes_back(async || {
            let live = "SELECT count(*) FROM tenancy_seal.keys WHERE retired_at IS NULL";
            let mut admin = world.admin().connect().await?;
            let live: i64 = sqlx::query_scalar(live).fetch_one(&mut admin).await?;
            anyhow::ensure!(live == 0, "the standby has not heard of it");
            Ok(())
        })
        .await?;
        // Not an empty table, which would be believed.
        let read = session.execute("SELECT FROM notes").await;
        assert_eq!(sqlstate(read), "42501");
        assert_eq!(session.present(&seal).await?, "42501");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_standby_that_takes_over_names_sessions_anew() -> anyhow::Result<()> {
    on_every_standby(BOTH, async |world| {
        let acme = world.notes.acme.id.as_uuid();
        let mut session = world.named().await?;
        let next = session.seal(2, acme).sql()?;
        let pool = world
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;
        let context = world.notes.context(&world.notes.acme);
        let reader = pool.tenant(&context)?.reader();
        let read = sqlx::query("SELECT FROM notes").fetch_all(&reader);
        assert_eq!(read.await?.len(), 3);

        let mut admin = world.admin().connect().await?;
        let promoted: bool = sqlx::query_scalar("SELECT pg_promote()")
            .fetch_one(&mut admin)
            .await?;
        assert!(promoted);
        if world.notes.seal == Some(SealWay::Row) {
            assert_eq!(session.seen().await?, []);
            assert_eq!(session.present(&next).await?, "55000");
        }
        comes_back(async || {
            let rows = sqlx::query("SELECT FROM notes").fetch_all(&reader).await?;
            anyhow::ensure!(rows.len() == 3, "{} rows", rows.len());
            Ok(())
        })
        .await?;
        comes_back(async || {
            let mut tx = pool.begin(&context).await?;
            tx.execute("INSERT INTO notes (body) VALUES ('after')")
                .await?;
            tx.commit().await?;
            anyhow::Ok(())
        })
        .await?;
        let read = sqlx::query("SELECT FROM notes").fetch_all(&reader);
        assert_eq!(read.await?.len(), 4);
        Ok(())
    })
    .await
}
