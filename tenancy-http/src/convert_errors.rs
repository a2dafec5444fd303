//! `?` in handlers whose error is the application's own.

/// Lets `?` turn what a handler meets of this library into a variant of the application's own error.
///
/// It writes one `From` for each type: the adapter's `Error`, `Refusal`, `SettingsError`, `DirectoryError`,
/// `StoreError` and, with the feature `sqlx`, `tenancy_sqlx::Error` and `sqlx::Error`, and with the feature `redis`
/// `tenancy_redis::RedisError`. So the error may have further
/// `From`s of its own, which `impl<E: Into<Error>> From<E>` would forbid.
///
/// ```
/// # use tenancy_http::Error;
/// use tenancy_core::{Refusal, RefusalKind};
///
/// #[derive(Debug)]
/// enum AppError {
///     Mail(std::io::Error),
///     Tenancy(Error),
/// }
///
/// tenancy_http::convert_errors!(AppError::Tenancy(Error));
///
/// impl From<std::io::Error> for AppError {
///     fn from(error: std::io::Error) -> Self {
///         Self::Mail(error)
///     }
/// }
///
/// fn rename(allowed: Result<(), Refusal>) -> Result<(), AppError> {
///     allowed?;
///     std::fs::metadata("/no/such/file")?;
///     Ok(())
/// }
/// # let refused = rename(Err(Refusal::new(RefusalKind::PermissionDenied, "example")));
/// # assert!(matches!(refused, Err(AppError::Tenancy(_))));
/// # assert!(matches!(rename(Ok(())), Err(AppError::Mail(_))));
/// ```
#[macro_export]
macro_rules! convert_errors {
    ($app:ident::$variant:ident($error:ty)) => {
        $crate::convert_each_error!(
            $app::$variant,
            $error,
            $crate::errors::Refusal,
            $crate::errors::SettingsError,
            $crate::errors::DirectoryError,
            $crate::errors::StoreError,
        );
        $crate::convert_errors_of_sqlx!($app::$variant);
        $crate::convert_errors_of_redis!($app::$variant);
    };
}

// What a feature adds is a macro of its own, because a macro is expanded in a crate whose features are others.
#[cfg(feature = "sqlx")]
#[doc(hidden)]
#[macro_export]
macro_rules! convert_errors_of_sqlx {
    ($app:ident::$variant:ident) => {
        $crate::convert_each_error!(
            $app::$variant,
            $crate::errors::SessionError,
            $crate::errors::SqlxError,
        );
    };
}

#[cfg(not(feature = "sqlx"))]
#[doc(hidden)]
#[macro_export]
macro_rules! convert_errors_of_sqlx {
    ($app:ident::$variant:ident) => {};
}

#[cfg(feature = "redis")]
#[doc(hidden)]
#[macro_export]
macro_rules! convert_errors_of_redis {
    ($app:ident::$variant:ident) => {
        $crate::convert_each_error!($app::$variant, $crate::errors::RedisError);
    };
}

#[cfg(not(feature = "redis"))]
#[doc(hidden)]
#[macro_export]
macro_rules! convert_errors_of_redis {
    ($app:ident::$variant:ident) => {};
}

#[doc(hidden)]
#[macro_export]
macro_rules! convert_each_error {
    ($app:ident::$variant:ident, $($error:ty),* $(,)?) => {
        $(impl ::core::convert::From<$error> for $app {
            fn from(error: $error) -> Self {
                Self::$variant(error.into())
            }
        })*
    };
}
