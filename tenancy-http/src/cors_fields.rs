//! CORS for an adapter's layer: who answers a request, and which header fields its response gets.

use std::sync::Arc;

use tenancy_core::{
    ConfigError, CorsAnswer, CorsDecision, CorsPolicy, Field, Refusal, RequestView, Tenancy,
    is_preflight,
};

use crate::{ResponseFields, WriteFields, add_vary};

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const EXPOSE_HEADERS: &str = "access-control-expose-headers";

const VARY: &str = "origin";
const VARY_OF_PREFLIGHTS: &str =
    "origin, access-control-request-method, access-control-request-headers";

/// A [`CorsPolicy`] with values of a framework's type, which are made once.
#[derive(Debug, Clone)]
pub struct CorsFields<V> {
    tenancy: Tenancy,
    values: Arc<Values<V>>,
}

#[derive(Debug)]
struct Values<V> {
    vary: V,
    vary_of_preflights: V,
    /// What an allowed page gets beside its origin.
    response: Vec<(&'static str, V)>,
    preflight: Vec<(&'static str, V)>,
}

/// Who answers a request.
#[derive(Debug)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an adapter that overlooks a way must not compile"
)]
pub enum CorsWay {
    /// The inner service. The request carries this, if it is there, in its extensions.
    PassOn(Option<CorsDecided>),
    /// The layer: a preflight of an allowed page gets status 200 and no body.
    Accept,
    /// The layer: a preflight of another page gets this refusal.
    Refuse(Refusal),
}

/// Says that a layer further outside has decided about the origin, for the request to carry.
#[derive(Debug, Clone)]
pub struct CorsDecided(Tenancy);

/// The fields of CORS that the response to one request gets.
#[derive(Debug, Clone)]
pub struct ChosenCorsFields<V> {
    values: Arc<Values<V>>,
    preflight: bool,
    /// The origin of a page that may read the response.
    reader: Option<V>,
}

impl<V: Clone> CorsFields<V> {
    /// Makes the values of the policy that the engine was built with.
    ///
    /// # Errors
    /// A [`ConfigError`] that says how to give a policy, if the engine has none, or that a list in
    /// it can't stand in a header field.
    pub fn new<F: ResponseFields<Value = V>>(tenancy: &Tenancy) -> Result<Self, ConfigError> {
        let policy = tenancy.cors_policy().ok_or_else(|| {
            ConfigError::new(
                "`TenancyCors` needs a policy, and the engine was built without one; call \
                 `TenancyBuilder::cors(CorsPolicy::new())`",
            )
        })?;
        Ok(Self {
            tenancy: tenancy.clone(),
            values: Arc::new(Values::new::<F>(policy)?),
        })
    }

    /// Asks the engine about the page that sent a request, unless a layer of the same engine has.
    /// The request carries `decided` then, and that layer writes the fields.
    pub fn decide(&self, request: &dyn RequestView, decided: Option<&CorsDecided>) -> CorsAnswer {
        if decided.is_some_and(|decided| decided.0.is(&self.tenancy)) {
            // As where no page is concerned: this layer has nothing to add.
            return CorsAnswer::Ready(CorsDecision::NotCors);
        }
        self.tenancy.cors(request, request.method())
    }

    /// Who answers a request about which this was decided, and what is written to the response.
    #[must_use]
    pub fn way<F: ResponseFields<Value = V>>(
        &self,
        decision: CorsDecision,
        request: &dyn RequestView,
    ) -> (CorsWay, ChosenCorsFields<V>) {
        // Without an origin no page is concerned, and the request is no preflight.
        let concerned = !matches!(decision, CorsDecision::NotCors);
        let preflight = concerned && is_preflight(request, request.method());
        let reader = match (&decision, request.header("origin")) {
            (CorsDecision::Allowed, Field::One(origin)) => F::value(origin),
            _ => None,
        };
        let way = match decision {
            CorsDecision::Allowed if preflight => CorsWay::Accept,
            CorsDecision::Refused(refusal) if preflight => CorsWay::Refuse(refusal),
            _ => CorsWay::PassOn(concerned.then(|| CorsDecided(self.tenancy.clone()))),
        };
        let values = Arc::clone(&self.values);
        let chosen = ChosenCorsFields {
            values,
            preflight,
            reader,
        };
        (way, chosen)
    }
}

impl<V> Values<V> {
    fn new<F: ResponseFields<Value = V>>(policy: &CorsPolicy) -> Result<Self, ConfigError> {
        let value = |text: &str| {
            F::value(text).ok_or_else(|| {
                ConfigError::new(format!("`{text}` can't be the value of a header field"))
            })
        };
        let list = |names: &mut dyn Iterator<Item = &str>| -> Result<V, ConfigError> {
            value(&names.collect::<Vec<_>>().join(","))
        };
        let max_age = policy.preflight_max_age().as_secs().to_string();
        let mut response = vec![(EXPOSE_HEADERS, list(&mut policy.exposed_headers())?)];
        let mut preflight = vec![
            (
                "access-control-allow-methods",
                list(&mut policy.allowed_methods())?,
            ),
            (
                "access-control-allow-headers",
                list(&mut policy.allowed_headers())?,
            ),
            ("access-control-max-age", value(&max_age)?),
        ];
        if policy.allows_credentials() {
            response.push((ALLOW_CREDENTIALS, value("true")?));
            preflight.push((ALLOW_CREDENTIALS, value("true")?));
        }
        Ok(Self {
            vary: value(VARY)?,
            vary_of_preflights: value(VARY_OF_PREFLIGHTS)?,
            response,
            preflight,
        })
    }
}

impl<V: Clone> WriteFields for ChosenCorsFields<V> {
    type Value = V;

    /// For an allowed page, what a handler has said about pages gives way: a browser takes two
    /// values of `Access-Control-Allow-Origin` for none, and credentials are the policy's matter.
    fn write<F: ResponseFields<Value = V>>(&self, response: &mut F) {
        let values = &*self.values;
        let more = if self.preflight {
            add_vary(response, VARY_OF_PREFLIGHTS, &values.vary_of_preflights);
            &values.preflight
        } else {
            add_vary(response, VARY, &values.vary);
            &values.response
        };
        let Some(origin) = &self.reader else {
            return;
        };
        for name in [ALLOW_ORIGIN, ALLOW_CREDENTIALS, EXPOSE_HEADERS] {
            response.remove(name);
        }
        response.append(ALLOW_ORIGIN, origin.clone());
        for (name, value) in more {
            response.append(name, value.clone());
        }
    }
}
