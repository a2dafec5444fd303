//! Signed anchors of the trail in another database.

use async_trait::async_trait;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tenancy_core::{AnchorPage, AnchorStore, AuditError};

/// Keeps anchors in the table `tenancy_anchors` of another database, which this makes.
///
/// ```no_run
/// use tenancy_core::AnchorStore as _;
/// use tenancy_sqlx::PgAnchors;
///
/// # async fn example(anchors: Vec<String>) -> Result<(), tenancy_core::AuditError> {
/// let elsewhere = PgAnchors::connect("postgres://anchors@vault.internal/anchors").await?;
/// elsewhere.keep(&anchors).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// It has to be a server whose administrators are others. Grant its login `SELECT` and `INSERT` alone once the table is
/// there.
#[derive(Debug, Clone)]
pub struct PgAnchors {
    pool: PgPool,
}

/// Makes the table, unless it is there: a login that may not make one need not.
const TABLE: &str = "DO $$ BEGIN
    IF to_regclass('tenancy_anchors') IS NULL THEN
        CREATE TABLE tenancy_anchors (
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            kept_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            anchor text NOT NULL
        );
    END IF;
END $$";

impl PgAnchors {
    /// Connects, and makes the table if it is not there.
    ///
    /// # Errors
    /// An [`AuditError`] if the database does not answer, or the table can't be made.
    pub async fn connect(url: &str) -> Result<Self, AuditError> {
        let options = PgPoolOptions::new().max_connections(1);
        let pool = options.connect(url).await.map_err(AuditError::new)?;
        sqlx::raw_sql(TABLE)
            .execute(&pool)
            .await
            .map_err(AuditError::new)?;
        Ok(Self { pool })
    }
}

#[async_trait]
impl AnchorStore for PgAnchors {
    async fn keep(&self, anchors: &[String]) -> Result<(), AuditError> {
        sqlx::query(
            "INSERT INTO tenancy_anchors (anchor)
             SELECT a.anchor FROM unnest($1::text[]) WITH ORDINALITY AS a (anchor, number) ORDER BY a.number",
        )
        .bind(anchors)
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(AuditError::new)
    }

    async fn kept_from(&self, place: u64, limit: u32) -> Result<AnchorPage, AuditError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT number, anchor FROM tenancy_anchors WHERE number > $1 ORDER BY number LIMIT $2",
        )
        .bind(i64::try_from(place).unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(AuditError::new)?;
        let last = rows
            .last()
            .and_then(|(number, _)| u64::try_from(*number).ok());
        let anchors = rows.into_iter().map(|(_, anchor)| anchor).collect();
        Ok(AnchorPage::new(anchors, last.unwrap_or(place)))
    }
}
