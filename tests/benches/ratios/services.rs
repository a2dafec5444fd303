//! The services that are measured, on either framework, with the library and without.

use sqlx::PgPool;
use tenancy_core::Tenancy;
use tenancy_sqlx::TenantPool;
use tenancy_tests::{Framework, Serving};

/// Says hello.
pub(crate) async fn hello(
    framework: Framework,
    tenancy: Option<&Tenancy>,
) -> anyhow::Result<Serving> {
    match framework {
        Framework::Axum => on_axum::hello(tenancy).await,
        Framework::Actix => on_actix::hello(tenancy.cloned()).await,
    }
}

/// Counts every note, whether a layer is around it or not.
pub(crate) async fn count_all(
    framework: Framework,
    pool: &PgPool,
    tenancy: Option<&Tenancy>,
) -> anyhow::Result<Serving> {
    match framework {
        Framework::Axum => on_axum::count_all(pool.clone(), tenancy).await,
        Framework::Actix => on_actix::count_all(pool.clone(), tenancy.cloned()).await,
    }
}

/// Counts a tenant's notes in a tenant read.
pub(crate) async fn count_own(framework: Framework, pool: &TenantPool) -> anyhow::Result<Serving> {
    match framework {
        Framework::Axum => on_axum::count_own(pool.clone()).await,
        Framework::Actix => on_actix::count_own(pool.clone()).await,
    }
}

const COUNT: &str = "SELECT count(*) FROM notes";

async fn counted(db: impl sqlx::PgExecutor<'_>) -> Result<String, sqlx::Error> {
    let count: i64 = sqlx::query_scalar(COUNT).fetch_one(db).await?;
    Ok(count.to_string())
}

mod on_axum {
    use axum::{Router, extract::State, routing::get};
    use sqlx::PgPool;
    use tenancy_axum::{Error, TenancyLayer, TenantDb};
    use tenancy_core::Tenancy;
    use tenancy_sqlx::TenantPool;
    use tenancy_tests::Serving;

    use super::counted;

    pub(super) async fn hello(tenancy: Option<&Tenancy>) -> anyhow::Result<Serving> {
        covered(Router::new().route("/", get(async || "Hello")), tenancy).await
    }

    pub(super) async fn count_all(
        pool: PgPool,
        tenancy: Option<&Tenancy>,
    ) -> anyhow::Result<Serving> {
        let count = async |State(pool): State<PgPool>| -> Result<String, Error> {
            Ok(counted(&pool).await?)
        };
        let app = Router::new().route("/", get(count)).with_state(pool);
        covered(app, tenancy).await
    }

    pub(super) async fn count_own(pool: TenantPool) -> anyhow::Result<Serving> {
        let count =
            async |db: TenantDb| -> Result<String, Error> { Ok(counted(&db.reader()).await?) };
        let tenancy = pool.tenancy().clone();
        let app = Router::new().route("/", get(count)).with_state(pool);
        covered(app, Some(&tenancy)).await
    }

    async fn covered(mut app: Router, tenancy: Option<&Tenancy>) -> anyhow::Result<Serving> {
        if let Some(tenancy) = tenancy {
            app = app.layer(TenancyLayer::new(tenancy));
        }
        Serving::axum_service(app.into_make_service()).await
    }
}

mod on_actix {
    use actix_web::{
        App, HttpServer,
        web::{Data, get},
    };
    use sqlx::PgPool;
    use tenancy_actix::{Error, TenancyMiddleware, TenantDb};
    use tenancy_core::Tenancy;
    use tenancy_sqlx::TenantPool;
    use tenancy_tests::Serving;

    use super::counted;

    /// Serves an app, whose type can't be named.
    macro_rules! serve {
        ($app:expr) => {
            Serving::actix(move |listener| {
                let server = HttpServer::new($app).workers(2).disable_signals();
                Ok(server.listen(listener)?.run())
            })
            .await
        };
    }

    pub(super) async fn hello(tenancy: Option<Tenancy>) -> anyhow::Result<Serving> {
        let app = || App::new().route("/", get().to(async || "Hello"));
        match tenancy {
            Some(tenancy) => serve!(move || app().wrap(TenancyMiddleware::new(&tenancy))),
            None => serve!(app),
        }
    }

    pub(super) async fn count_all(
        pool: PgPool,
        tenancy: Option<Tenancy>,
    ) -> anyhow::Result<Serving> {
        let count =
            async |pool: Data<PgPool>| -> Result<String, Error> { Ok(counted(&**pool).await?) };
        let pool = Data::new(pool);
        let app = move || {
            App::new()
                .app_data(pool.clone())
                .route("/", get().to(count))
        };
        match tenancy {
            Some(tenancy) => serve!(move || app().wrap(TenancyMiddleware::new(&tenancy))),
            None => serve!(app),
        }
    }

    pub(super) async fn count_own(pool: TenantPool) -> anyhow::Result<Serving> {
        let count =
            async |db: TenantDb| -> Result<String, Error> { Ok(counted(&db.reader()).await?) };
        let (tenancy, pool) = (pool.tenancy().clone(), Data::new(pool));
        serve!(move || {
            App::new()
                .app_data(pool.clone())
                .route("/", get().to(count))
                .wrap(TenancyMiddleware::new(&tenancy))
        })
    }
}
