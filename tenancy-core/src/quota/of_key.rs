//! What one API key is limited to by itself, beside its tenant's plan.

use std::{fmt, mem::size_of_val, sync::Arc};

use super::{
    Limit, QuotaService, Scope,
    rule::{Rule, RuleShape},
};
use crate::{
    Actor, AllowedTenants, ConfigError, KeyId, Principal, Refusal, RefusalKind, TenantId,
    TenantKey, key::KeyLimits, plan::Placed,
};

/// The limits that a credential has of its own, ready to be counted.
#[derive(Clone, Default)]
pub(crate) enum OwnLimits {
    /// It has none.
    #[default]
    None,
    /// These.
    Counted(Arc<[Arc<Rule>]>),
    /// It has some that this program can't count. What costs something is refused.
    Unusable,
}

impl OwnLimits {
    /// Those of a key that was read. Where they can't be counted, the log says why, once for each time that the key is
    /// read.
    pub(crate) fn of_key(
        key: KeyId,
        tenant: TenantId,
        limits: &KeyLimits,
        quotas: Option<&QuotaService>,
    ) -> Self {
        match rules(limits, quotas) {
            Ok(None) => Self::None,
            Ok(Some(rules)) => Self::Counted(rules),
            Err(error) => {
                tracing::error!(
                    key.id = %key, tenant.id = %tenant, %error,
                    "an API key has limits that this program can't count; its requests that cost something are \
                     refused until it has other limits (`KeyAdmin::set_limits`)"
                );
                Self::Unusable
            }
        }
    }

    /// The refusal of what costs something, if nobody could count it.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::None | Self::Counted(_) => Ok(()),
            Self::Unusable => Err(Refusal::new(
                RefusalKind::Misconfigured,
                "key-limits-unusable",
            )),
        }
    }

    pub(crate) const fn are_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) const fn are_unusable(&self) -> bool {
        matches!(self, Self::Unusable)
    }

    pub(super) fn rules(&self) -> &[Arc<Rule>] {
        match self {
            Self::Counted(rules) => rules,
            Self::None | Self::Unusable => &[],
        }
    }

    /// The bytes that they take on the heap, about.
    pub(crate) fn heap(&self) -> usize {
        size_of_val(self.rules()) + self.rules().len() * Rule::HEAP
    }
}

impl fmt::Debug for OwnLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable => f.write_str("Unusable"),
            usable => f.debug_list().entries(usable.rules()).finish(),
        }
    }
}

/// Makes sure that a key may be made with these limits.
pub(crate) fn check_new(
    limits: &KeyLimits,
    quotas: Option<&QuotaService>,
) -> Result<(), ConfigError> {
    check(limits, quotas)?;
    let taken = |quotas: &QuotaService| {
        let mut each = limits.as_slice().iter().map(Limit::name);
        each.find(|name| quotas.has_limit(name))
    };
    match quotas.and_then(taken) {
        Some(name) => Err(ConfigError::new(format!(
            "a plan, or the quotas, have a limit `{name}` already, and a caller could not tell it from the key's \
             own; give that another name with `Limit::named`"
        ))),
        None => Ok(()),
    }
}

/// Makes sure that limits of a key can be counted and stored.
pub(crate) fn check(limits: &KeyLimits, quotas: Option<&QuotaService>) -> Result<(), ConfigError> {
    if limits.as_slice().len() > KeyLimits::MAX {
        return Err(ConfigError::new(format!(
            "a key has at most {} limits of its own",
            KeyLimits::MAX
        )));
    }
    limits.to_stored()?;
    rules(limits, quotas).map(drop)
}

fn rules(
    limits: &KeyLimits,
    quotas: Option<&QuotaService>,
) -> Result<Option<Arc<[Arc<Rule>]>>, ConfigError> {
    if limits.is_empty() {
        return Ok(None);
    }
    let Some(quotas) = quotas else {
        return Err(ConfigError::new(
            "the engine has no quotas to count a key's limits by; give it some with `TenancyBuilder::quotas`",
        ));
    };
    let each = limits.as_slice().iter().cloned().map(Placed::from);
    let rules = Rule::all_of(each.collect(), quotas.meters(), "a key's own limits", false)?;
    for rule in &rules {
        let name = &rule.name;
        if rule.scope != Scope::Key {
            return Err(ConfigError::new(format!(
                "the limit `{name}` of a key is of another scope; leave `Limit::scope` out, and it counts for the \
                 key alone"
            )));
        }
        match rule.shape {
            RuleShape::Rate(_) | RuleShape::Period(..) => {}
            RuleShape::NotIncluded => {
                return Err(ConfigError::new(format!(
                    "the limit `{name}` lets the key take nothing; give it an amount above 0, or the key fewer scopes"
                )));
            }
            RuleShape::Unlimited | RuleShape::Concurrent(_) | RuleShape::Held(..) => {
                return Err(ConfigError::new(format!(
                    "the limit `{name}` of a key is neither a rate nor one per period; use `Limit::rate` or \
                     `Limit::per_period`"
                )));
            }
        }
    }
    Ok(Some(rules.into()))
}

impl Limit {
    /// The limit as one of a key's own: of the scope of keys, and with a name that those of plans do not have.
    pub(crate) fn of_one_key(mut self) -> Self {
        if self.scope != Scope::Tenant {
            return self;
        }
        if self.name.is_none() {
            self.name = Some(format!("{}-of-this-key", self.name()).into());
        }
        self.scope(Scope::Key)
    }
}

/// The key that a principal is, and its tenant.
pub(super) fn whose(principal: &Principal) -> Option<(TenantId, KeyId)> {
    match (&principal.actor, &principal.allowed_tenants) {
        (Actor::Key(key), AllowedTenants::Bound(TenantKey::Id(tenant))) => Some((*tenant, *key)),
        _ => None,
    }
}
