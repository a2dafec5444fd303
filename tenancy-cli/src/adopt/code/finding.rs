//! What may be found: each kind with its code, what it says and how it is mended.

use std::fmt;

/// A place in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    /// Its line, from 1.
    pub(super) line: usize,
    /// The line on which its statement or text begins.
    pub(super) begins: usize,
    /// What it is about: a table, a type, a setting.
    pub(super) what: String,
}

/// What kind of place it is. The order is that in which they are told of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    OnConflict,
    PositionalInsert,
    GlobalLookup,
    RawPool,
    SessionSetting,
    Unprepared,
    Copy,
    Truncate,
    OldKey,
    UniqueKey,
    OwnerLoss,
    OwnerData,
}

impl Kind {
    pub(super) const ALL: [Self; 12] = [
        Self::OnConflict,
        Self::PositionalInsert,
        Self::GlobalLookup,
        Self::RawPool,
        Self::SessionSetting,
        Self::Unprepared,
        Self::Copy,
        Self::Truncate,
        Self::OldKey,
        Self::UniqueKey,
        Self::OwnerLoss,
        Self::OwnerData,
    ];

    /// Its code, which stays.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::OnConflict => "on-conflict",
            Self::PositionalInsert => "positional-insert",
            Self::GlobalLookup => "global-lookup",
            Self::RawPool => "raw-pool",
            Self::SessionSetting => "session-setting",
            Self::Unprepared => "unprepared",
            Self::Copy => "copy-from",
            Self::Truncate => "truncate",
            Self::OldKey => "old-key",
            Self::UniqueKey => "key-across-tenants",
            Self::OwnerLoss => "owner-loss",
            Self::OwnerData => "owner-data",
        }
    }

    /// How it is mended.
    pub(super) const fn mend(self) -> &'static str {
        match self {
            Self::OnConflict => {
                "name the tenant's column first, as the key will have it: ON CONFLICT (tenant_id, …); or name the \
                 constraint; or leave the target out where DO NOTHING is meant"
            }
            Self::PositionalInsert => "list the columns on both sides, without the tenant's",
            Self::GlobalLookup => {
                "set the tenant before it, or keep the key unique across tenants and look it up where all tenants may \
                 be read"
            }
            Self::RawPool => {
                "take a `TenantDb` or a `TenantTx` from the `TenantPool`, which name the tenant in each session"
            }
            Self::SessionSetting => {
                "set it for the transaction alone: SET LOCAL, or set_config(…, true)"
            }
            Self::Unprepared => {
                "leave it prepared, or run it in a transaction: behind a pooler an unprepared statement outside of one \
                 may get another's answer"
            }
            Self::Copy => {
                "insert with UNNEST or many VALUES; PostgreSQL refuses COPY FROM under row security"
            }
            Self::Truncate => {
                "DELETE the tenant's rows: TRUNCATE removes those of all tenants, and asks no policy"
            }
            Self::OldKey => {
                "refer to the key with the tenant: FOREIGN KEY (tenant_id, x) REFERENCES t (tenant_id, id)"
            }
            Self::UniqueKey => {
                "put the tenant's column in front, or say in a comment of the index that it holds across tenants; \
                 protect a new table in the same migration"
            }
            Self::OwnerLoss | Self::OwnerData => {
                "have it done for each tenant, or with row security not forced: under it the owner sees no row, so that \
                 nothing changes and nothing is said"
            }
        }
    }

    /// What it means of this.
    pub(super) fn says(self, what: &str) -> String {
        match self {
            Self::OnConflict => {
                format!(
                    "ON CONFLICT names columns ({what}), and a key that becomes a tenant's has one more"
                )
            }
            Self::PositionalInsert => {
                format!("rows for {what} are selected with `*`, and have one column more")
            }
            Self::GlobalLookup => {
                format!(
                    "{what} is looked up, which is a tenant's then: without the tenant there is no row"
                )
            }
            Self::RawPool => format!("`{what}` reaches the database without naming a tenant"),
            Self::SessionSetting => {
                format!(
                    "{what} is set for the session, and stays for the next who gets the connection"
                )
            }
            Self::Unprepared => "a statement is not prepared".to_owned(),
            Self::Copy => format!("rows are copied into {what}"),
            Self::Truncate => format!("{what} is truncated"),
            Self::OldKey => {
                format!("a foreign key refers to {what}, whose keys have the tenant then")
            }
            Self::UniqueKey => format!("a unique key of {what} has no tenant"),
            Self::OwnerLoss => {
                format!(
                    "rows of {what} are read or changed as the owner beside a DROP: what is not seen is lost"
                )
            }
            Self::OwnerData => format!("rows of {what} are changed as the owner"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.kind.says(&self.what), self.kind.mend())
    }
}
