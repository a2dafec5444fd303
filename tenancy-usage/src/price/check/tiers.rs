//! Tiers that cover each quantity once.

use rust_decimal::Decimal;
use tenancy_core::{ConfigError, document::Position};

use super::{MeterPrice, amount};
use crate::{UsageEvent, price::Tier};

pub(super) fn check(whose: &str, tiers: &[Tier], price: &MeterPrice) -> Result<(), ConfigError> {
    if tiers.is_empty() {
        return Err(price.at.error(format_args!(
            "{whose}: there is no tier; give one or more, the last with `Tier::rest`"
        )));
    }
    let mut edge = Decimal::ZERO;
    for (place, tier) in tiers.iter().enumerate() {
        let at = price.tiers_at.get(place).copied().unwrap_or(Position::NONE);
        let number = place + 1;
        let error = |text: String| Err(at.error(format_args!("{whose}, tier {number}: {text}")));
        for (what, value) in [
            ("the price of a unit", tier.unit_price),
            ("the flat amount", tier.flat),
        ] {
            if let Err(text) = amount(value) {
                return error(format!("{what} {text}"));
            }
        }
        if let Some(above) = tier.above {
            if above > edge {
                return error(format!(
                    "it begins above {above}, and the tier before it ends at {edge}, which leaves a gap; let it begin above \
                     {edge}"
                ));
            }
            if above < edge {
                return error(format!(
                    "it begins above {above}, and the tier before it ends at {edge}, so they overlap; let it begin above {edge}"
                ));
            }
        }
        let is_last = number == tiers.len();
        match tier.up_to {
            None if !is_last => {
                return error(format!(
                    "it has no end, and {} come after it; give it an `up_to`, or remove those",
                    tiers.len() - number
                ));
            }
            Some(end) if is_last => {
                return error(format!(
                    "it ends at {end}, and nothing prices what is above; make the last tier one without an end, with \
                     `Tier::rest`"
                ));
            }
            Some(end) if end <= edge => {
                return error(format!(
                    "it ends at {end}, and it begins above {edge}; give each tier a larger `up_to` than the one before it"
                ));
            }
            Some(end)
                if end > UsageEvent::MAX_TOTAL
                    || end.normalize().scale() > UsageEvent::MAX_DECIMALS =>
            {
                return error(format!(
                    "it ends at {end}; give at most {}, with at most {} digits after the point",
                    UsageEvent::MAX_TOTAL,
                    UsageEvent::MAX_DECIMALS
                ));
            }
            Some(end) => edge = end,
            None => {}
        }
    }
    Ok(())
}
