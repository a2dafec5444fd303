//! Where the engine's credentials come from, and who reads which.

use std::sync::Arc;

use super::Authenticating;
use crate::{
    ConfigError, CredentialSource, Identification, credential_source::Place, header_uses,
    key::ApiKeys, request::is_field_name,
};

/// The places where credentials stand, each once.
#[derive(Debug, Default)]
pub(super) struct Sources {
    all: Vec<Source>,
    pub(super) established: Option<Established>,
    challenge: Option<Arc<String>>,
}

/// A place, and who knows the credentials that stand there.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) from: CredentialSource,
    /// Whether API keys may stand there.
    pub(super) keys: bool,
    /// Authenticators by position, in the order in which they are asked.
    pub(super) authenticators: Vec<usize>,
}

/// That principals are taken from the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Established {
    pub(super) needs_same_origin: bool,
}

impl Sources {
    /// Puts together what authenticators and keys read, and checks it.
    pub(super) fn checked(
        authenticators: &[Authenticating],
        keys: Option<&ApiKeys>,
        established: Option<Established>,
        rules: &Identification,
        request_id_header: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Self {
            established,
            ..Self::default()
        };
        for (index, authenticating) in authenticators.iter().enumerate() {
            if authenticating.sources.is_empty() {
                return Err(ConfigError::new(format!(
                    "{:?} reads no credential; give it a source, such as `CredentialSource::bearer()`",
                    authenticating.authenticator
                )));
            }
            for from in &authenticating.sources {
                let source = sources.at(from)?;
                if !source.authenticators.contains(&index) {
                    source.authenticators.push(index);
                }
            }
        }
        if let Some(keys) = keys {
            sources.at(&CredentialSource::bearer())?.keys = true;
            for from in &keys.sources {
                sources.at(from)?.keys = true;
            }
        }
        let from_proxies =
            |source: &&Source| matches!(source.from.place, Place::ClientCertificate(_));
        if let Some(source) = sources.all.iter().find(from_proxies)
            && rules.proxies().are_none()
        {
            return Err(ConfigError::new(format!(
                "{} counts only from trusted proxies, and there are none; list them with \
                 `Identification::trusted_proxies`",
                source.from
            )));
        }
        if let Some(name) = request_id_header.filter(|name| !is_field_name(name)) {
            return Err(ConfigError::new(format!(
                "`{name}` is not a header name, and can't have the id of a request"
            )));
        }
        let request_id = request_id_header.map(|name| (name, "the id of a request"));
        let uses = rules.header_uses().chain(sources.field_uses());
        header_uses::check(uses.chain(request_id))?;
        sources.challenge = sources.challenges();
        Ok(sources)
    }

    /// The source at this place, which is added if it is not there.
    fn at(&mut self, from: &CredentialSource) -> Result<&mut Source, ConfigError> {
        from.check()?;
        let same = |source: &Source| source.from.is_at_the_place_of(from);
        let index = match self.all.iter().position(same) {
            Some(index) => index,
            None => {
                self.all.push(Source {
                    from: from.clone(),
                    keys: false,
                    authenticators: Vec::new(),
                });
                self.all.len() - 1
            }
        };
        match self.all.get_mut(index) {
            Some(source) if source.from.needs_same_origin == from.needs_same_origin => Ok(source),
            _ => Err(ConfigError::new(format!(
                "{from} is given with and without `danger_accept_cross_site`; say the same everywhere"
            ))),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Source> {
        self.all.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.all.iter().enumerate()
    }

    fn field_uses(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.all.iter().filter_map(|source| source.from.field())
    }

    /// The header fields, apart from `Authorization`, that credentials are read from.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        let names = self.field_uses().map(|(name, _)| name);
        let by_cookie = self.established.map(|_| "cookie");
        names
            .filter(|name| *name != "authorization")
            .chain(by_cookie)
    }

    /// The header fields of a caller's own making: those that a page may be allowed to send.
    pub(super) fn own_fields(&self) -> impl Iterator<Item = &str> {
        self.all
            .iter()
            .filter_map(|source| match &source.from.place {
                Place::Header(name) => Some(&**name),
                _ => None,
            })
    }

    /// What status 401 says of how to authenticate (RFC 9110 §11.6.1); `None` for `Bearer` alone.
    pub(super) fn challenge(&self) -> Option<Arc<String>> {
        self.challenge.clone()
    }

    fn challenges(&self) -> Option<Arc<String>> {
        let mut said: Vec<&str> = Vec::new();
        for source in &self.all {
            let challenge = match &source.from.place {
                Place::Scheme { challenge, .. } => challenge,
                // No registered scheme; some clients fail on a 401 without any.
                Place::Cookie(_) => "Cookie",
                _ => continue,
            };
            if !said.contains(&challenge) {
                said.push(challenge);
            }
        }
        (said != ["Bearer"]).then(|| Arc::new(said.join(", ")))
    }
}
