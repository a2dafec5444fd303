//! What tests of the parts share.

use std::{sync::Arc, time::Duration};

use tenancy_core::{Actor, TenantId, Timestamp, UserId};

use super::{StatementOutcome, StatementRecord};

/// A record of some tenant's.
pub(super) fn a_record() -> StatementRecord {
    StatementRecord {
        at: Timestamp::from_unix_seconds(1_000_000),
        tenant: Some(TenantId::new()),
        project: None,
        actor: Some(Actor::User(UserId::new())),
        on_behalf_of: None,
        request_id: None,
        trace_id: None,
        shape: Arc::from("select ?"),
        rows: 1,
        duration: Duration::from_millis(1),
        outcome: StatementOutcome::Done,
        sql_state: None,
        sampled: true,
        slow: false,
        outside: false,
        protected_tables: Arc::new([]),
        place: None,
    }
}
