//! The modes of PgBouncer, and how they are noticed.

use std::time::Duration;

use sqlx::Executor as _;
use tenancy_core::TenantDirectory as _;
use tenancy_sqlx::{PgDirectory, StartErrorKind, TenantPoolOptions, danger};
use tenancy_tests::{
    DelayProxy,
    notes::{Notes, on_every_server},
    residue::{RESIDUE, left_behind},
};

use crate::{Kind, through_every_kind};

#[tokio::test]
async fn a_pooler_is_told_from_a_proxy() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let pool = through.pool(TenantPoolOptions::new()).await?;
        let expected = format!(
            "Pooler {{ keeps_statements: {} }}",
            through.kind.keeps_statements
        );
        assert!(format!("{pool:?}").contains(&expected), "{pool:?}");
        Ok(())
    })
    .await?;
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let pool = notes.pool_through(&proxy, TenantPoolOptions::new()).await?;
        assert!(format!("{pool:?}").contains("Direct"), "{pool:?}");
        Ok(())
    })
    .await
}

/// `ignore_startup_parameters` has PgBouncer drop what it otherwise refuses.
#[tokio::test]
async fn a_pooler_that_drops_settings_is_noticed() -> anyhow::Result<()> {
    for (kind, server) in Kind::all().await? {
        let notes = Notes::start(&server).await?;
        let drops = "ignore_startup_parameters = extra_float_digits, options";
        let bouncer = kind.start(&server, "transaction", 1, drops).await?;
        let app = bouncer.reroute(notes.app_options());
        let options = TenantPoolOptions::new();
        let pool = options.connect_with(app.clone(), &notes.tenancy).await?;
        assert!(format!("{pool:?}").contains("Pooler"), "{kind:?}: {pool:?}");

        // And what it would drop silently is refused.
        let with_path = app.clone().options([("search_path", "app")]);
        let refused = PgDirectory::connect_with(with_path, 1).await.unwrap_err();
        assert_eq!(refused.kind(), StartErrorKind::Pooler);
        assert!(refused.to_string().contains("ALTER ROLE"), "{refused}");
        let admin = bouncer.reroute(notes.database.admin_options());
        let assumed = danger::assume_app_role(TenantPoolOptions::new(), "tenancy_app", "a test");
        let refused = assumed
            .connect_with(admin, &notes.tenancy)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), StartErrorKind::Pooler);
        assert!(refused.to_string().contains("assume"), "{refused}");
        notes.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn settings_that_a_pooler_refuses_are_said_to_be_in_the_way() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let app = through.app_options().options([("search_path", "app")]);
        let refused = PgDirectory::connect_with(app, 1).await.unwrap_err();
        assert_eq!(refused.kind(), StartErrorKind::Pooler);
        assert!(refused.to_string().contains("ALTER ROLE"), "{refused}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn floating_point_numbers_are_exact_without_the_setting_that_is_refused() -> anyhow::Result<()>
{
    through_every_kind(1, async |through| {
        let mut plain = sqlx::ConnectOptions::connect(&through.app_options()).await;
        if let Err(refused) = &mut plain {
            assert!(
                refused.to_string().contains("extra_float_digits"),
                "{refused}"
            );
        } else {
            anyhow::bail!("PgBouncer takes extra_float_digits as it comes");
        }
        let pool = through.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool
            .begin(&through.notes.context(&through.notes.acme))
            .await?;
        let number = 0.1_f64 + 0.2;
        let same: f64 = sqlx::query_scalar("SELECT $1")
            .bind(number)
            .fetch_one(&mut *tx)
            .await?;
        assert_eq!(same.to_bits(), number.to_bits());
        let text: String = sqlx::query_scalar("SELECT $1::float8::text")
            .bind(number)
            .fetch_one(&mut *tx)
            .await?;
        assert_eq!(text.parse::<f64>()?.to_bits(), number.to_bits());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn session_mode_works() -> anyhow::Result<()> {
    for (kind, server) in Kind::all().await? {
        let notes = Notes::start(&server).await?;
        notes.seed(&notes.acme, 3).await?;
        notes.seed(&notes.globex, 5).await?;
        let bouncer = kind.start(&server, "session", 10, "").await?;
        let app = bouncer.reroute(notes.app_options());
        let options = TenantPoolOptions::new().max_connections(1);
        let pool = options.connect_with(app.clone(), &notes.tenancy).await?;
        for (leave, count) in RESIDUE {
            let (left, same) = left_behind(&notes, [&pool, &pool], leave, count).await?;
            assert_eq!((left, same), (0, true), "{leave} through {kind:?}");
        }
        for (tenant, expected) in [(&notes.acme, 3), (&notes.globex, 5)] {
            let db = pool.tenant(&notes.context(tenant))?;
            for _ in 0..3 {
                let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
                    .fetch_one(&db)
                    .await?;
                assert_eq!(count, expected, "through {kind:?}");
            }
        }
        let directory = PgDirectory::connect_with(app, 2).await?;
        let found = directory.find_tenant(&notes.acme.id.into()).await?;
        assert!(found.is_some());
        directory.close().await;
        notes.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn statement_mode_is_refused_with_the_setting_to_change() -> anyhow::Result<()> {
    for (kind, server) in Kind::all().await? {
        let notes = Notes::start(&server).await?;
        let bouncer = kind.start(&server, "statement", 1, "").await?;
        let app = bouncer.reroute(notes.app_options());
        let mut plain =
            sqlx::ConnectOptions::connect(&app.clone().extra_float_digits(None)).await?;
        assert!(plain.execute("SELECT 1").await.is_ok());
        let refused = TenantPoolOptions::new()
            .connect_with(app.clone(), &notes.tenancy)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), StartErrorKind::Pooler, "{refused}");
        assert!(
            refused.to_string().contains("`pool_mode` to `transaction`"),
            "{refused}"
        );
        let refused = PgDirectory::connect_with(app, 1).await.unwrap_err();
        assert_eq!(refused.kind(), StartErrorKind::Pooler);
        notes.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_login_is_still_called_out_of_reach() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let app = through.app_options().username("nobody_here");
        let refused = PgDirectory::connect_with(app, 1).await.unwrap_err();
        assert_eq!(refused.kind(), StartErrorKind::Unreachable, "{refused}");
        Ok(())
    })
    .await
}
