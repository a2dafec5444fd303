//! The feed of changes, page by page.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow, types::Uuid};
use tenancy_core::{DirectoryError, FeedCursor, FeedPage, Generation, GenerationFeed, TenantId};

use super::{PgDirectory, rows, token_revocations};

/// How many changes a page tells at most.
const PAGE_SIZE: i32 = 10_000;

/// What the last row of a page says.
struct End {
    cursor: FeedCursor,
    origin: String,
    more: bool,
}

impl End {
    fn read(row: &PgRow) -> Result<Self, DirectoryError> {
        let number: i64 = rows::column(row, "number")?;
        let number = u64::try_from(number).map_err(DirectoryError::new)?;
        Ok(Self {
            cursor: FeedCursor::at(number).marked(rows::text(row, "cursor")?),
            origin: rows::text(row, "origin")?,
            more: rows::column(row, "more")?,
        })
    }
}

#[async_trait]
impl GenerationFeed for PgDirectory {
    async fn changes_since(&self, cursor: Option<FeedCursor>) -> Result<FeedPage, DirectoryError> {
        let since = cursor.map(|cursor| match &*cursor.mark {
            // A number alone is a transaction: what is older has been told.
            "" => {
                let number = cursor.number.max(1);
                format!(r#"{{"until": "{number}:{number}:"}}"#)
            }
            mark => mark.to_owned(),
        });
        let mut reading = self.read_as_nobody(&self.feed).await?;
        // One statement, and so one view of the database: the cursor is as old as all of it.
        let read = sqlx::query(
            "SELECT cursor, number, more, origin, tenant_id, generation, kind, subject,
                 (extract(epoch FROM valid_after) * 1000000)::bigint AS valid_after
             FROM tenancy.feed_page($1, $2)",
        )
        .bind(since)
        .bind(PAGE_SIZE)
        .fetch_all(&mut *reading)
        .await;
        let mut last = None;
        let (mut changed, mut token_revocations) = (Vec::new(), Vec::new());
        for row in &read.map_err(DirectoryError::new)? {
            let tenant: Option<Uuid> = row.try_get("tenant_id").map_err(DirectoryError::new)?;
            let kind: Option<&str> = row.try_get("kind").map_err(DirectoryError::new)?;
            match (tenant, kind) {
                (Some(tenant), _) => {
                    let generation = Generation::from_i64(rows::column(row, "generation")?);
                    changed.push((TenantId::from_uuid(tenant), generation));
                }
                (None, Some(_)) => token_revocations.extend(token_revocations::told(row)?),
                (None, None) => last = Some(End::read(row)?),
            }
        }
        let end =
            last.ok_or_else(|| DirectoryError::new("the feed told nothing, not even its cursor"))?;
        let page = FeedPage::new(end.cursor, changed, token_revocations).told_by(end.origin);
        Ok(if end.more { page.with_more() } else { page })
    }
}
