//! What a configuration reads each header field for: no field serves two purposes.

use crate::ConfigError;

/// Fields that have a meaning of their own, whatever is configured.
const GIVEN: [(&str, &str); 12] = [
    ("authorization", "credentials"),
    ("cookie", "cookies"),
    ("host", "the host of a request"),
    ("origin", "the page that sent a request"),
    ("sec-fetch-site", "the page that sent a request"),
    ("upgrade", "the handshake of a websocket"),
    ("user-agent", "the audit trail"),
    ("forwarded", "what proxies say"),
    ("x-forwarded-for", "what proxies say"),
    ("x-forwarded-host", "what proxies say"),
    ("content-type", "the body of a request"),
    ("content-length", "the body of a request"),
];

/// Checks that each field is read for one purpose.
///
/// A caller would otherwise give one value two meanings, and be refused always or say more than it
/// may.
pub(crate) fn check<'a>(
    uses: impl IntoIterator<Item = (&'a str, &'static str)>,
) -> Result<(), ConfigError> {
    let mut known: Vec<(&str, &str)> = GIVEN.to_vec();
    for (name, purpose) in uses {
        match known.iter().find(|(other, _)| *other == name) {
            Some((_, other)) if *other != purpose => {
                return Err(ConfigError::new(format!(
                    "the header `{name}` would be read for {purpose} and for {other}; take a field \
                     of its own for each"
                )));
            }
            Some(_) => {}
            None => known.push((name, purpose)),
        }
    }
    Ok(())
}
