//! A tenant's settings: stored as JSON, read as the application's own type.

use std::{
    any::Any,
    fmt,
    sync::{Arc, OnceLock},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::Value;

/// Settings of one tenant, as stored.
///
/// The first read as a type is kept with the record, so that later reads cost a pointer; the
/// record, and the typed value with it, is dropped when the tenant's generation moves on.
#[derive(Clone)]
pub struct Settings {
    raw: Arc<Value>,
    typed: Arc<OnceLock<Arc<dyn Any + Send + Sync>>>,
}

/// Stored settings that do not fit the type they were asked for as.
#[derive(Debug, thiserror::Error)]
#[error("the tenant's settings are not a `{wanted}`: {source}")]
pub struct SettingsError {
    wanted: &'static str,
    source: serde_json::Error,
}

impl Settings {
    /// Settings from a JSON value.
    #[must_use]
    pub fn new(raw: Value) -> Self {
        Self {
            raw: Arc::new(raw),
            typed: Arc::default(),
        }
    }

    /// Settings from the application's own type.
    ///
    /// # Errors
    /// [`SettingsError`] if the type can't be written as JSON.
    pub fn from_typed<T: Serialize>(value: &T) -> Result<Self, SettingsError> {
        let raw = serde_json::to_value(value).map_err(|source| SettingsError {
            wanted: std::any::type_name::<T>(),
            source,
        })?;
        Ok(Self::new(raw))
    }

    /// The bytes that they own on the heap, about. What they were read as is taken to weigh as much again.
    pub(crate) fn heap(&self) -> usize {
        fn heap(value: &Value) -> usize {
            let own = match value {
                Value::Null | Value::Bool(_) | Value::Number(_) => 0,
                Value::String(text) => text.len(),
                Value::Array(items) => items.iter().map(heap).sum(),
                // A node of a map has room for more than it holds.
                Value::Object(fields) => fields
                    .iter()
                    .map(|(name, value)| {
                        2 * size_of::<(String, Value)>() + name.len() + heap(value)
                    })
                    .sum(),
            };
            own + size_of::<Value>()
        }
        2 * heap(&self.raw) + 64
    }

    /// The settings as stored.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.raw
    }

    /// The settings as the application's own type.
    ///
    /// # Errors
    /// [`SettingsError`] if what is stored does not deserialize as `T`.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use tenancy_core::Settings;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Look { accent: String }
    ///
    /// let settings = Settings::from_typed(&Look { accent: "teal".into() })?;
    /// assert_eq!(settings.typed::<Look>()?.accent, "teal");
    /// # Ok::<(), tenancy_core::SettingsError>(())
    /// ```
    pub fn typed<T: DeserializeOwned + Send + Sync + 'static>(
        &self,
    ) -> Result<Arc<T>, SettingsError> {
        if let Some(ready) = self.typed.get()
            && let Ok(value) = Arc::clone(ready).downcast::<T>()
        {
            return Ok(value);
        }
        let value = Arc::new(T::deserialize(&*self.raw).map_err(|source| SettingsError {
            wanted: std::any::type_name::<T>(),
            source,
        })?);
        // An application reads its settings as one type; a second type is read anew each time.
        let _ = self
            .typed
            .set(Arc::clone(&value) as Arc<dyn Any + Send + Sync>);
        Ok(value)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(Value::Object(serde_json::Map::new()))
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

/// Settings may hold what only the tenant should read; `Debug` shows that they exist.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_read_is_kept_and_a_misfit_names_the_type() {
        let settings = Settings::new(serde_json::json!({ "seats": 3 }));
        let first = settings
            .typed::<std::collections::BTreeMap<String, u32>>()
            .unwrap();
        let again = settings
            .typed::<std::collections::BTreeMap<String, u32>>()
            .unwrap();
        assert!(Arc::ptr_eq(&first, &again));

        let misfit = settings.typed::<Vec<u8>>().unwrap_err().to_string();
        assert!(misfit.contains("Vec<u8>"), "{misfit}");
    }

    #[test]
    fn debug_does_not_show_what_a_tenant_stored() {
        let settings = Settings::new(serde_json::json!({ "token": "hush" }));
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
