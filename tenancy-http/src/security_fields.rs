//! Security headers in the types of a framework.

use tenancy_core::{Merge, RequestView, SecurityHeaders};

use crate::{ResponseFields, add_vary};

/// [`SecurityHeaders`] with values of a framework's type, which are made once.
#[derive(Debug)]
pub struct SecurityFields<V> {
    headers: SecurityHeaders,
    /// All that [`SecurityHeaders::all_fields`] gives; fewer than [`ChosenFields`] has bits.
    fields: Vec<Field<V>>,
}

#[derive(Debug)]
struct Field<V> {
    name: &'static str,
    text: String,
    value: V,
    merge: Merge,
}

/// Which of the fields the response to a request gets.
#[derive(Debug, Clone, Copy)]
pub struct ChosenFields(u32);

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
    pub fn choose(&self, request: &dyn RequestView) -> ChosenFields {
        let mut chosen = 0;
        for wanted in self.headers.fields(request) {
            let is_wanted = |one: &Field<V>| one.name == wanted.name && one.text == wanted.value;
            if let Some(index) = self.fields.iter().position(is_wanted) {
                chosen |= 1 << index;
            }
        }
        ChosenFields(chosen)
    }

    /// Adds what was chosen to a response, where its maker has not said otherwise.
    pub fn add<F: ResponseFields<Value = V>>(&self, chosen: ChosenFields, response: &mut F) {
        for (index, field) in self.fields.iter().enumerate() {
            if chosen.0 & (1 << index) == 0 {
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
