//! The hints of one request. There is seldom more than one, and one takes no room on the heap.

use std::{
    hash::{Hash, Hasher},
    ops::Deref,
};

use super::Hint;

/// A list that allocates from the second hint on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Hints<'a> {
    #[default]
    None,
    One(Hint<'a>),
    Several(Vec<Hint<'a>>),
}

impl<'a> Hints<'a> {
    pub(crate) fn push(&mut self, hint: Hint<'a>) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(hint),
            Self::One(first) => Self::Several(vec![first, hint]),
            Self::Several(mut hints) => {
                hints.push(hint);
                Self::Several(hints)
            }
        };
    }

    pub(crate) fn into_owned(self) -> Hints<'static> {
        match self {
            Self::None => Hints::None,
            Self::One(hint) => Hints::One(hint.into_owned()),
            Self::Several(hints) => {
                Hints::Several(hints.into_iter().map(Hint::into_owned).collect())
            }
        }
    }
}

impl<'a> Deref for Hints<'a> {
    type Target = [Hint<'a>];

    fn deref(&self) -> &[Hint<'a>] {
        match self {
            Self::None => &[],
            Self::One(hint) => std::slice::from_ref(hint),
            Self::Several(hints) => hints,
        }
    }
}

impl<'a> Extend<Hint<'a>> for Hints<'a> {
    fn extend<I: IntoIterator<Item = Hint<'a>>>(&mut self, hints: I) {
        hints.into_iter().for_each(|hint| self.push(hint));
    }
}

impl<'a> FromIterator<Hint<'a>> for Hints<'a> {
    fn from_iter<I: IntoIterator<Item = Hint<'a>>>(hints: I) -> Self {
        let mut all = Self::None;
        all.extend(hints);
        all
    }
}

/// The keys of hints, to be hashed: where each stood in the request changes nothing.
pub(crate) struct HintKeys<'a>(pub(crate) &'a [Hint<'a>]);

impl Hash for HintKeys<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.0.len());
        self.0.iter().for_each(|hint| hint.key.hash(state));
    }
}
