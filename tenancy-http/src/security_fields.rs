//! Security headers in the types of a framework.

use std::sync::Arc;

use tenancy_core::{Merge, RequestView, SecurityHeaders};

use crate::{ResponseFields, WriteFields, add_vary};

/// [`SecurityHeaders`] with values of a framework's type, which are made once.
#[derive(Debug, Clone)]
pub struct SecurityFields<V> {
    headers: SecurityHeaders,
    /// All that [`SecurityHeaders::all_fields`] gives; fewer than [`ChosenSecurityFields`] has bits.
    fields: Arc<[Field<V>]>,
}

#[derive(Debug)]
struct Field<V> {
    name: &'static str,
    text: String,
    value: V,
    merge: Merge,
}

/// The security headers that the response to one request gets.
#[derive(Debug, Clone)]
pub struct ChosenSecurityFields<V> {
    fields: Arc<[Field<V>]>,
    chosen: u32,
}

impl<V: Clone> SecurityFields<V> {
    /// Makes the values.
    #[must_use]
    pub fn new<F: ResponseFields<Value = V>>(headers: SecurityHeaders) -> Self {
        let made = headers.all_fields().filter_map(|field| {
            Some(Field {
                name: field.name,
                text: field.value.to_owned(),
                value: F::value(field.value)?,
                merge: field.merge,
            })
        });
        let fields = made.collect();
        Self { headers, fields }
    }

    /// Chooses, by a request that has yet to be passed on.
    #[must_use]
    pub fn choose(&self, request: &dyn RequestView) -> ChosenSecurityFields<V> {
        let mut chosen = 0;
        for wanted in self.headers.fields(request) {
            let is_wanted = |one: &Field<V>| one.name == wanted.name && one.text == wanted.value;
            if let Some(index) = self.fields.iter().position(is_wanted) {
                chosen |= 1 << index;
            }
        }
        let fields = Arc::clone(&self.fields);
        ChosenSecurityFields { fields, chosen }
    }
}

impl<V: Clone> WriteFields for ChosenSecurityFields<V> {
    type Value = V;

    /// Adds what was chosen where the response's maker has not said otherwise.
    fn write<F: ResponseFields<Value = V>>(&self, response: &mut F) {
        for (index, field) in self.fields.iter().enumerate() {
            if self.chosen & (1 << index) == 0 {
                continue;
            }
            match field.merge {
                // `Vary` is the one list among them.
                Merge::Append => add_vary(response, &field.text, &field.value),
                Merge::IfAbsent if response.contains(field.name) => {}
                Merge::IfAbsent => response.append(field.name, field.value.clone()),
            }
        }
    }
}
