//! From claims to what a token may be used for at most.

use std::fmt;

use serde_json::{Map, Value};

use super::reason;
use crate::{PermissionRegistry, PermissionSet, Rejection, RoleMask, RoleTable};

/// The most entries of a claim that lists scopes or roles.
const MAX_ENTRIES: usize = 256;

/// The claims that narrow what a token may do.
#[derive(Default)]
pub(super) struct RightsClaims {
    pub(super) scopes: Vec<(String, PermissionRegistry)>,
    pub(super) roles: Vec<(String, PermissionRegistry)>,
}

impl RightsClaims {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let claims = self.scopes.iter().chain(&self.roles);
        claims.map(|(name, _)| name.as_str())
    }

    /// What is in every claim. One that is absent or can't be read is never passed over.
    pub(super) fn scope(&self, claims: &Map<String, Value>) -> Result<PermissionSet, Rejection> {
        let mut scope = PermissionSet::ALL;
        for (name, registry) in &self.scopes {
            let listed = texts(claims.get(name)).ok_or(reason::SCOPE)?;
            scope = scope.intersection(registry.scope(listed));
        }
        for (name, registry) in &self.roles {
            let listed = texts(claims.get(name)).ok_or(reason::ROLE)?;
            let table = RoleTable::base(registry);
            let mask = listed.into_iter().fold(RoleMask::NONE, |mask, role| {
                let known = role.parse().ok().and_then(|role| table.mask(&role));
                mask.combine(known.unwrap_or(RoleMask::SEALED))
            });
            scope = scope.intersection(mask.effective());
        }
        Ok(scope)
    }
}

/// Texts separated by spaces (RFC 8693 §4.2), or an array of texts.
fn texts(claim: Option<&Value>) -> Option<Vec<&str>> {
    let texts: Vec<_> = match claim? {
        Value::String(text) => text.split(' ').filter(|text| !text.is_empty()).collect(),
        Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    (texts.len() <= MAX_ENTRIES).then_some(texts)
}

impl fmt::Debug for RightsClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |claims: &[(String, PermissionRegistry)]| {
            claims
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        f.debug_struct("RightsClaims")
            .field("scopes", &names(&self.scopes))
            .field("roles", &names(&self.roles))
            .finish()
    }
}
