//! Noise that hides what one tenant adds to a count.

/// Noise of the discrete Laplace distribution (the two-sided geometric one: A. Ghosh, T. Roughgarden and M. Sundararajan, "Universally
/// Utility-Maximizing Privacy Mechanisms", 2009): a number is `exp(1 / scale)` times as probable as the next one away from 0. It is
/// whole, so that no digit of a float tells anything of the count. The same random bytes give the same noise.
pub(super) fn noise(random: &[u8; 32], scale: f64) -> i64 {
    let [one, other] = [0, 8].map(|from| {
        let bytes = random.iter().skip(from).take(8);
        let bits = bytes.fold(0, |bits: u64, byte| bits << 8 | u64::from(*byte)) >> 11;
        #[allow(clippy::cast_precision_loss, reason = "53 bits, which a float has")]
        let even = (bits + 1) as f64 / (1_u64 << 53) as f64;
        // Geometric: at least n with a probability of exp(-n / scale).
        let steps = (-even.ln() * scale).floor();
        #[allow(
            clippy::cast_possible_truncation,
            reason = "at most 37 scales, and a scale is at most 2,000"
        )]
        let steps = steps as i64;
        steps
    });
    one - other
}

/// The variance of that noise.
pub(super) fn variance(scale: f64) -> f64 {
    let next = (-1.0 / scale).exp();
    2.0 * next / (1.0 - next).powi(2)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn noise_has_the_mean_and_the_variance_of_its_distribution() {
        const NUMBER: u32 = 20_000;
        for scale in [0.5, 2.0, 20.0] {
            let all: Vec<_> = (0..NUMBER)
                .map(|seed| noise(&Sha256::digest(seed.to_be_bytes()).into(), scale))
                .collect();
            let number = f64::from(NUMBER);
            let mean = all.iter().map(|it| *it as f64).sum::<f64>() / number;
            let spread = all.iter().map(|it| (*it as f64).powi(2)).sum::<f64>() / number;
            let expected = variance(scale);
            // Five standard errors of the mean.
            assert!(
                mean.abs() < 5.0 * (expected / number).sqrt(),
                "{scale}: {mean}"
            );
            assert!(
                (spread / expected - 1.0).abs() < 0.08,
                "{scale}: {spread}, {expected}"
            );
        }
    }
}
