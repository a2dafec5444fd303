//! Freeing a server's session of what its former user left in it.

use std::fmt::Write as _;

use super::{Reset, Through};
use crate::{connections::RESET_SESSION, schema::literal};

/// What sqlx asks for when it connects. A pooler opens its sessions without, so that `RESET ALL`
/// goes back to what the server has.
const AS_CONNECTED: &str =
    "; SET client_encoding = 'UTF8'; SET DateStyle = 'ISO, MDY'; SET TimeZone = 'UTC'";

/// Statements that were prepared in SQL; those of the protocol are the pooler's.
const DEALLOCATE_OWN: &str = "; DO 'DECLARE prepared text; BEGIN \
     FOR prepared IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql LOOP \
     EXECUTE pg_catalog.format(''DEALLOCATE %I'', prepared); END LOOP; END'";

/// A transaction of its own, so that it holds whatever becomes of the one that follows it, and so
/// that the latter can choose its isolation.
pub(super) fn before_begin(
    through: Through,
    reset: Reset,
    application_name: Option<&str>,
) -> String {
    let mut sql = String::new();
    let Through::Pooler { keeps_statements } = through else {
        return sql;
    };
    if reset == Reset::Never && keeps_statements {
        return sql;
    }
    sql.push_str("BEGIN");
    if reset != Reset::Never {
        let _ = write!(sql, "; {RESET_SESSION}{AS_CONNECTED}");
        if let Some(name) = application_name {
            let _ = write!(sql, "; SET application_name = {}", literal(name));
        }
    }
    sql.push_str(if keeps_statements {
        DEALLOCATE_OWN
    } else {
        "; DEALLOCATE ALL"
    });
    sql.push_str("; COMMIT; ");
    sql
}
