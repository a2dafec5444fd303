//! Recognizes RSA moduli of the generator known as ROCA (CVE-2017-15361).
//!
//! That generator made primes of the form `k·M + 65537^a mod M`, where `M` is a product of the
//! first primes. So its moduli are powers of 65537 modulo each of these primes, which a random
//! modulus is with a probability of about 2^-28 (Nemec, Sys, Svenda, Klinec, Matyas: "The Return
//! of Coppersmith's Attack", CCS 2017, §3.1).

const GENERATOR: u32 = 65_537;

const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether a modulus, in big-endian bytes, has the fingerprint.
pub(super) fn has_fingerprint(modulus: &[u8]) -> bool {
    PRIMES.into_iter().all(|prime| {
        let rest = modulus
            .iter()
            .fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        // The powers repeat after at most `prime - 1` steps.
        (0..prime).any(|_| {
            let hit = power == rest;
            power = power * (GENERATOR % prime) % prime;
            hit
        })
    })
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};

    use super::*;
    use crate::jwt::{Algorithm, KeyErrorKind, VerificationKey};

    /// Multiplies a big-endian number by 65537 = 2^16 + 1.
    fn times_generator(number: &[u8]) -> Vec<u8> {
        let len = number.len() + 3;
        let mut sum = vec![0; len];
        let mut carry = 0_u16;
        for place in 0..len {
            let digit = |shift: usize| {
                place
                    .checked_sub(shift)
                    .and_then(|p| number.len().checked_sub(p + 1))
                    .map_or(0, |at| u16::from(number[at]))
            };
            let total = digit(0) + digit(2) + carry;
            sum[len - 1 - place] = total.to_be_bytes()[1];
            carry = total >> 8;
        }
        sum
    }

    fn power_of_generator(exponent: usize) -> Vec<u8> {
        let power = (0..exponent).fold(vec![1], |power, _| times_generator(&power));
        let zeros = power.iter().take_while(|byte| **byte == 0).count();
        power[zeros..].to_vec()
    }

    #[test]
    fn powers_of_the_generator_are_recognized_and_their_neighbours_are_not() {
        let mut power = power_of_generator(127);
        assert!(has_fingerprint(&power));
        *power.last_mut().unwrap() ^= 2;
        assert!(!has_fingerprint(&power));
    }

    #[test]
    fn such_a_key_is_refused() {
        let head = b"\x30\x82\x01\x08\x02\x82\x01\x01";
        // 2049 bits.
        let der = [head, &power_of_generator(128)[..], b"\x02\x01\x03"].concat();
        let body = STANDARD.encode(der);
        let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{body}\n-----END RSA PUBLIC KEY-----");
        let refused = VerificationKey::pem(Algorithm::RS256, pem).unwrap_err();
        assert_eq!(refused.kind(), KeyErrorKind::RsaWeak);
    }
}
