//! Passing an sqlx `Executor` on through an adapter's newtype.

/// What the macro names, so that adapters need not depend on it themselves.
#[doc(hidden)]
pub mod parts {
    pub use futures_core::{future::BoxFuture, stream::BoxStream};
    pub use sqlx::{
        Either, Error, Execute, Executor, Postgres, SqlStr,
        postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
    };
    pub use sqlx_core::describe::Describe;
}

/// Makes `&$newtype` an sqlx `Executor`, as the [`TenantDb`](tenancy_sqlx::TenantDb) in its field
/// `0` is: `.fetch_all(&db)` works for an extractor as for what it holds.
///
/// ```
/// #[derive(Debug, Clone)]
/// struct Db(tenancy_sqlx::TenantDb);
/// tenancy_http::pass_on_executor!(Db);
///
/// async fn titles(db: Db) -> Result<Vec<String>, sqlx::Error> {
///     sqlx::query_scalar("SELECT title FROM notes").fetch_all(&db).await
/// }
/// ```
#[macro_export]
macro_rules! pass_on_executor {
    ($newtype:ty) => {
        impl<'c> $crate::executor_parts::Executor<'c> for &'c $newtype {
            type Database = $crate::executor_parts::Postgres;

            fn fetch_many<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> $crate::executor_parts::BoxStream<
                'e,
                ::std::result::Result<
                    $crate::executor_parts::Either<
                        $crate::executor_parts::PgQueryResult,
                        $crate::executor_parts::PgRow,
                    >,
                    $crate::executor_parts::Error,
                >,
            >
            where
                'c: 'e,
                E: 'q + $crate::executor_parts::Execute<'q, $crate::executor_parts::Postgres>,
            {
                $crate::executor_parts::Executor::fetch_many(&self.0, query)
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> $crate::executor_parts::BoxFuture<
                'e,
                ::std::result::Result<
                    ::std::option::Option<$crate::executor_parts::PgRow>,
                    $crate::executor_parts::Error,
                >,
            >
            where
                'c: 'e,
                E: 'q + $crate::executor_parts::Execute<'q, $crate::executor_parts::Postgres>,
            {
                $crate::executor_parts::Executor::fetch_optional(&self.0, query)
            }

            fn prepare_with<'e>(
                self,
                sql: $crate::executor_parts::SqlStr,
                parameters: &'e [$crate::executor_parts::PgTypeInfo],
            ) -> $crate::executor_parts::BoxFuture<
                'e,
                ::std::result::Result<
                    $crate::executor_parts::PgStatement,
                    $crate::executor_parts::Error,
                >,
            >
            where
                'c: 'e,
            {
                $crate::executor_parts::Executor::prepare_with(&self.0, sql, parameters)
            }

            fn describe<'e>(
                self,
                sql: $crate::executor_parts::SqlStr,
            ) -> $crate::executor_parts::BoxFuture<
                'e,
                ::std::result::Result<
                    $crate::executor_parts::Describe<$crate::executor_parts::Postgres>,
                    $crate::executor_parts::Error,
                >,
            >
            where
                'c: 'e,
            {
                $crate::executor_parts::Executor::describe(&self.0, sql)
            }
        }
    };
}
