//! Secrets that were told of, in the forms in which they could be written.

use std::collections::HashMap;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

use crate::shapes::is_key;

/// Shorter ones would be found in places where they are none.
pub(crate) const SHORTEST: usize = 8;

/// So much of the beginning of a secret is looked for: that it is cut off does not make it public.
const ENOUGH: usize = 16;

/// How many bytes at the start of a form lead to it.
const LEAD: usize = 8;

/// Secrets, found in a text in one pass however many there are.
#[derive(Debug, Default)]
pub(crate) struct Told {
    forms: HashMap<[u8; LEAD], Vec<Vec<u8>>>,
    /// Bit by bit, whether there may be a form with such a start; most places in a text have none.
    starts: Vec<u64>,
}

impl Told {
    /// Whether it is new.
    pub(crate) fn add(&mut self, secret: &[u8]) -> bool {
        let mut new = false;
        for form in forms(secret) {
            let Some(&lead) = form.first_chunk::<LEAD>() else {
                continue;
            };
            let known = self.forms.entry(lead).or_default();
            if known.contains(&form) {
                continue;
            }
            known.push(form);
            self.starts.resize(1 << (16 - 6), 0);
            let (word, bit) = place(&lead);
            if let Some(word) = self.starts.get_mut(word) {
                *word |= bit;
            }
            new = true;
        }
        new
    }

    /// Whether there is one in an [`unescaped`] text.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        bytes.windows(LEAD).enumerate().any(|(at, window)| {
            let Some(lead) = window.first_chunk::<LEAD>() else {
                return false;
            };
            let (word, bit) = place(lead);
            if self.starts.get(word).is_none_or(|word| word & bit == 0) {
                return false;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let mut forms = self.forms.get(lead).into_iter().flatten();
            forms.any(|form| rest.starts_with(form))
        })
    }
}

/// The bit of a start: word and mask.
fn place(lead: &[u8; LEAD]) -> (usize, u64) {
    let mixed = u64::from_le_bytes(*lead).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    let word = usize::try_from(mixed >> 6).unwrap_or_default();
    (word, 1 << (mixed & 63))
}

/// What nobody may see of a credential: of a token its signature, of an API key its secret.
///
/// The rest is logged rightly: the start of a key names it, and a token's claims are no secret.
pub(crate) fn secret_part(text: &str) -> &str {
    match text.rsplit_once('.') {
        Some((_, signature)) if text.starts_with("eyJ") => return signature,
        _ => {}
    }
    match text.rsplit_once('_') {
        Some((_, secret)) if is_key(text) => secret,
        _ => text,
    }
}

fn forms(secret: &[u8]) -> [Vec<u8>; 10] {
    let start = secret.get(..ENOUGH).unwrap_or(secret);
    // Of three bytes each, so that what follows does not change the last digit.
    let thirds = start.get(..start.len() / 3 * 3).unwrap_or(start);
    let hex: String = start.iter().map(|byte| format!("{byte:02x}")).collect();
    let list: Vec<String> = start.iter().map(u8::to_string).collect();
    let percent: String = start.iter().map(percent_encoded).collect();
    let as_debug = String::from_utf8_lossy(start).escape_debug().to_string();
    let as_bytes = start.escape_ascii().to_string();
    [
        start
            .iter()
            .copied()
            .filter(|&byte| byte != b'\\')
            .collect(),
        unescaped(&as_debug).into_bytes(),
        unescaped(&as_bytes).into_bytes(),
        percent.replace("%20", "+").into_bytes(),
        percent.into_bytes(),
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        STANDARD_NO_PAD.encode(thirds).into_bytes(),
        URL_SAFE_NO_PAD.encode(thirds).into_bytes(),
        list.join(", ").into_bytes(),
    ]
}

/// Without backslashes, on both sides of the comparison: a text may have been escaped, and then what
/// it stands in, and so on.
pub(crate) fn unescaped(text: &str) -> String {
    text.replace('\\', "")
}

fn percent_encoded(byte: &u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
        char::from(*byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
