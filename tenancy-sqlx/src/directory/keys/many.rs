//! Many keys, revoked at once.

use sqlx::{PgConnection, Postgres, QueryBuilder, types::Uuid};
use tenancy_core::{ChangeRecord, StoreError, TenantId, Timestamp, UserId, key::KeyRange};

use crate::directory::{
    PgDirectory,
    write::{commit, refused, write_record},
};

/// Keys that are revoked together.
#[derive(Clone, Copy)]
pub(in crate::directory) enum Many {
    Tenant(TenantId),
    Range(KeyRange),
    Creator(UserId),
    /// Those of one user in one tenant.
    Member(TenantId, UserId),
}

impl Many {
    /// Adds which keys `k` are meant: those of them that are not revoked.
    fn push_condition(self, sql: &mut QueryBuilder<Postgres>) {
        match self {
            Self::Tenant(tenant) => {
                sql.push("k.tenant_id = ").push_bind(tenant.as_uuid());
            }
            Self::Range(range) => {
                sql.push("k.environment = ")
                    .push_bind(range.environment.as_str());
                sql.push(" AND k.id BETWEEN ")
                    .push_bind(range.first.as_uuid());
                sql.push(" AND ").push_bind(range.last.as_uuid());
            }
            Self::Creator(creator) => {
                sql.push("k.creator = ").push_bind(creator.as_uuid());
            }
            Self::Member(tenant, creator) => {
                sql.push("k.tenant_id = ").push_bind(tenant.as_uuid());
                sql.push(" AND k.creator = ").push_bind(creator.as_uuid());
            }
        }
        sql.push(" AND k.revoked_at IS NULL");
    }

    /// Locks the keys in the order in which uses are noted, and counts them.
    async fn lock(self, connection: &mut PgConnection) -> Result<i64, StoreError> {
        let mut sql =
            QueryBuilder::new("WITH locked AS (SELECT k.id FROM tenancy.api_keys AS k WHERE ");
        self.push_condition(&mut sql);
        sql.push(" ORDER BY k.id FOR NO KEY UPDATE OF k) SELECT count(*) FROM locked");
        let count = sql.build_query_scalar().fetch_one(connection).await;
        count.map_err(refused)
    }

    /// Locks the keys, also those that are added meanwhile by a rotation.
    ///
    /// A rotation holds its key until its successor can be seen, by the next statement. All locks
    /// come before an update, which takes those of generations: a change of a key takes them in
    /// this order, and would wait in a circle otherwise.
    pub(in crate::directory) async fn lock_all(
        self,
        connection: &mut PgConnection,
    ) -> Result<(), StoreError> {
        let mut locked = 0;
        loop {
            let found = self.lock(connection).await?;
            if found <= locked {
                return Ok(());
            }
            locked = found;
        }
    }

    /// Revokes the keys, and counts them by tenant.
    pub(in crate::directory) async fn revoke(
        self,
        connection: &mut PgConnection,
        at: Timestamp,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        self.lock_all(connection).await?;
        let mut sql = QueryBuilder::new(
            "WITH revoked AS (UPDATE tenancy.api_keys AS k
                 SET revoked_at = timestamptz 'epoch' + ",
        );
        sql.push_bind(at.as_unix_micros());
        sql.push(" * interval '1 microsecond' WHERE ");
        self.push_condition(&mut sql);
        sql.push(
            " RETURNING k.tenant_id)
             SELECT tenant_id, count(*) FROM revoked GROUP BY tenant_id",
        );
        let revoked = sql.build_query_as::<(Uuid, i64)>().fetch_all(connection);
        let revoked = revoked.await.map_err(refused)?.into_iter();
        Ok(revoked
            .map(|(tenant, count)| (TenantId::from_uuid(tenant), count.unsigned_abs()))
            .collect())
    }
}

impl PgDirectory {
    pub(super) async fn revoke(
        &self,
        many: Many,
        at: Timestamp,
        with: &ChangeRecord,
    ) -> Result<Vec<(TenantId, u64)>, StoreError> {
        let mut tx = self.write().await?;
        let revoked = many.revoke(&mut tx, at).await?;
        for (tenant, count) in &revoked {
            write_record(&mut tx, None, &with.for_tenant(*tenant, *count)).await?;
        }
        commit(tx, &ChangeRecord::new(with.entry.clone())).await?;
        Ok(revoked)
    }
}
