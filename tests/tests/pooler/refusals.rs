//! What needs a session of its own, and says so.

use std::sync::Arc;

use sqlx::{ConnectOptions as _, Connection as _};
use tenancy_core::SystemClock;
use tenancy_sqlx::{
    ChangeListener, StartErrorKind, TenantPoolOptions,
    schema::{InstallError, Installer, SealWay},
};
use tenancy_tests::notes::{MIGRATIONS, Notes};

use crate::Kind;

/// In each mode, and where PgBouncer drops what it would otherwise refuse.
const SETTINGS: [(&str, &str); 4] = [
    ("transaction", ""),
    (
        "transaction",
        "ignore_startup_parameters = extra_float_digits, options",
    ),
    ("session", ""),
    ("statement", ""),
];

/// A session is sealed, and a pooler shares sessions.
#[tokio::test]
async fn sealed_sessions_are_refused() -> anyhow::Result<()> {
    for (kind, server) in Kind::all().await? {
        let way = Some(SealWay::Parameter);
        let clock = Arc::new(SystemClock);
        let notes = Notes::start_sealed(&server, way, clock, |builder| builder).await?;
        for mode in ["transaction", "session"] {
            let bouncer = kind.start(&server, mode, 2, "").await?;
            let app = bouncer.reroute(notes.app_options());
            let options = notes.with_key(TenantPoolOptions::new())?;
            let refused = options.connect_with(app, &notes.tenancy).await.unwrap_err();
            assert_eq!(refused.kind(), StartErrorKind::Pooler, "{refused}");
            assert!(refused.to_string().contains("own address"), "{refused}");
        }
        notes.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_installation_is_refused() -> anyhow::Result<()> {
    for (kind, server) in Kind::all().await? {
        let notes = Notes::start(&server).await?;
        let install = async |url: String| Installer::new().run(&url, &MIGRATIONS).await;
        install(notes.database.url()).await?;
        for (mode, settings) in SETTINGS {
            let bouncer = kind.start(&server, mode, 2, settings).await?;
            let admin = bouncer.reroute(notes.database.admin_options());
            let refused = install(admin.to_url_lossy().to_string()).await.unwrap_err();
            assert!(
                matches!(refused, InstallError::Pooler),
                "{refused} through {kind:?} in {mode} mode"
            );
            assert!(refused.to_string().contains("own address"), "{refused}");
        }
        notes.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_installation_on_a_connection_is_refused_where_statements_are_kept()
-> anyhow::Result<()> {
    for (kind, server) in Kind::all().await? {
        if !kind.keeps_statements {
            continue;
        }
        let notes = Notes::start(&server).await?;
        let bouncer = kind.start(&server, "transaction", 1, "").await?;
        let admin = bouncer.reroute(notes.database.admin_options());
        let mut admin = admin.extra_float_digits(None).connect().await?;
        let refused = Installer::new().run_on(&mut admin, &MIGRATIONS).await;
        assert!(matches!(refused, Err(InstallError::Pooler)), "{refused:?}");
        admin.close().await?;
        notes.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn listening_for_changes_is_refused() -> anyhow::Result<()> {
    for (kind, server) in Kind::all().await? {
        let notes = Notes::start(&server).await?;
        for (mode, settings) in SETTINGS {
            let bouncer = kind.start(&server, mode, 2, settings).await?;
            let app = bouncer.reroute(notes.app_options());
            let refused = ChangeListener::connect_with(app, &notes.tenancy)
                .await
                .unwrap_err();
            assert_eq!(refused.kind(), StartErrorKind::Pooler, "{mode}");
            assert!(refused.to_string().contains("own address"), "{refused}");
        }
        notes.database.close().await?;
    }
    Ok(())
}
