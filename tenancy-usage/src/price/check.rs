//! What makes a book that can be computed with.

mod tiers;

use std::collections::HashSet;

use rust_decimal::Decimal;
use tenancy_core::ConfigError;

use super::{Currency, MeterPrice, PlanPrices, PriceVersion, meter_price::Model};
use crate::{
    UsageEvent, UsageMeters,
    name::{NAME_RULE, is_name},
};

/// Prices and amounts are at most this, so that nothing overflows that can be meant.
const MAX_AMOUNT: Decimal = Decimal::from_parts(0xd4a5_1000, 0xe8, 0, false, 0);

/// How many digits a price has after the point at most.
const MAX_DECIMALS: u32 = 12;

pub(super) fn version(
    version: &mut PriceVersion,
    currency: Currency,
    meters: &UsageMeters,
) -> Result<(), ConfigError> {
    let (name, at) = (version.name.clone(), version.at);
    if !is_name(&name) {
        return Err(at.error(format_args!(
            "`{name}` is no name of a version; it has {NAME_RULE}"
        )));
    }
    if version.plans.is_empty() {
        return Err(at.error(format_args!(
            "version `{name}` has no plan; add one with `PriceVersion::plan`"
        )));
    }
    let mut names = HashSet::new();
    for prices in &mut version.plans {
        let whose = format!("version `{name}`, plan `{}`", prices.name);
        if prices.name.trim().is_empty() {
            return Err((prices.at).error(format_args!(
                "version `{name}`: a plan has no name; give it one"
            )));
        }
        if !names.insert(prices.name.clone()) {
            return Err(
                (prices.at).error(format_args!("{whose}: it is there twice; keep one of them"))
            );
        }
        plan(&whose, prices, currency, meters)?;
    }
    Ok(())
}

fn plan(
    whose: &str,
    plan: &mut PlanPrices,
    default: Currency,
    meters: &UsageMeters,
) -> Result<(), ConfigError> {
    let currency = match &plan.currency_code {
        Some(code) => {
            Currency::new(code).map_err(|error| plan.at.error(format_args!("{whose}: {error}")))?
        }
        None => default,
    };
    plan.currency = Some(currency);
    amount(plan.minimum)
        .map_err(|text| plan.at.error(format_args!("{whose}: the minimum {text}")))?;
    let mut names = HashSet::new();
    for flat in &plan.flats {
        let error = |text: &str| {
            flat.at
                .error(format_args!("{whose}, `{}`: {text}", flat.name))
        };
        if flat.name.trim().is_empty() {
            return Err(error("a flat amount has no name; say what it is for"));
        }
        if !names.insert(&flat.name) {
            return Err(error("this flat amount is there twice; keep one of them"));
        }
        amount(flat.amount).map_err(|text| error(&format!("the amount {text}")))?;
    }
    for (place, price) in plan.prices.iter().enumerate() {
        let whose = format!("{whose}, meter `{}`", price.label());
        let before = plan.prices.get(..place).unwrap_or_default();
        check_price(price, before, currency, meters)
            .map_err(|text| price.at.error(format_args!("{whose}: {text}")))?;
        if let Model::Graduated(tiers) | Model::Volume(tiers) = &price.model {
            tiers::check(&whose, tiers, price)?;
        }
    }
    Ok(())
}

fn check_price(
    price: &MeterPrice,
    before: &[MeterPrice],
    currency: Currency,
    meters: &UsageMeters,
) -> Result<(), String> {
    let Some(meter) = meters.get(&price.meter) else {
        return Err(
            "there is no such usage meter; declare it with `UsageMeters::new`, or correct the name"
                .to_owned(),
        );
    };
    if let Some(code) = price
        .currency
        .as_deref()
        .filter(|code| *code != currency.code())
    {
        return Err(format!(
            "the price is in {code} and its plan in {currency}; a plan has one currency, so convert the price, or make a plan \
             for {code}"
        ));
    }
    if let Some((dimension, value)) = &price.when {
        if !meter.has_dimension(dimension) {
            return Err(format!(
                "the meter has no dimension `{dimension}`; declare it with `UsageMeter::dimension`, or correct the name"
            ));
        }
        if !meter.aggregation().adds_up() {
            return Err(
                "the meter does not add up, so what is not of this value has no number of its own; leave the condition out, or \
                 declare a meter for each value"
                    .to_owned(),
            );
        }
        if value.is_empty() {
            return Err(format!(
                "the value of `{dimension}` is empty; give one, or leave the condition out"
            ));
        }
    }
    for other in before.iter().filter(|other| other.meter == price.meter) {
        if other.when == price.when {
            return Err(
                "it has two prices; keep one of them, or tell them apart with `when`".to_owned(),
            );
        }
        if let (Some((one, _)), Some((another, _))) = (&other.when, &price.when)
            && one != another
        {
            return Err(format!(
                "one price is by `{one}` and another by `{another}`, and usage may have both; choose one dimension"
            ));
        }
    }
    if price.included.is_sign_negative() && !price.included.is_zero() {
        return Err(format!("{} are included; give 0 or more", price.included));
    }
    if price.included > UsageEvent::MAX_TOTAL
        || price.included.normalize().scale() > UsageEvent::MAX_DECIMALS
    {
        return Err(format!(
            "{} are included; give at most {}, with at most {} digits after the point",
            price.included,
            UsageEvent::MAX_TOTAL,
            UsageEvent::MAX_DECIMALS
        ));
    }
    amount(price.minimum).map_err(|text| format!("the minimum {text}"))?;
    match &price.model {
        Model::Free | Model::Graduated(_) | Model::Volume(_) => Ok(()),
        Model::PerUnit(unit) => amount(*unit).map_err(|text| format!("the price of a unit {text}")),
        Model::Package { size, price } => {
            if *size <= Decimal::ZERO
                || *size > UsageEvent::MAX_TOTAL
                || size.normalize().scale() > UsageEvent::MAX_DECIMALS
            {
                return Err(format!(
                    "a package has {size} units; give a size above 0, such as 1000"
                ));
            }
            amount(*price).map_err(|text| format!("the price of a package {text}"))
        }
        Model::Percentage(percent) => {
            amount(*percent).map_err(|text| format!("the percentage {text}"))?;
            if *percent > Decimal::ONE_HUNDRED {
                return Err(format!("it costs {percent} percent; give at most 100"));
            }
            Ok(())
        }
    }
}

/// Whether it can be an amount or a price; what is wrong follows on what it is.
pub(super) fn amount(amount: Decimal) -> Result<(), String> {
    if amount.is_sign_negative() && !amount.is_zero() {
        return Err(format!(
            "is {amount}; give 0 or more, and grant credits for what is given back"
        ));
    }
    if amount > MAX_AMOUNT {
        return Err(format!("is {amount}; give at most {MAX_AMOUNT}"));
    }
    if amount.normalize().scale() > MAX_DECIMALS {
        return Err(format!(
            "is {amount}; give at most {MAX_DECIMALS} digits after the point, or price a larger unit"
        ));
    }
    Ok(())
}

/// Sorts versions by time, and sees that they fit together.
pub(super) fn beside_each_other(versions: &mut [PriceVersion]) -> Result<(), ConfigError> {
    versions.sort_by_key(|version| version.from);
    let mut names = HashSet::new();
    for version in &*versions {
        if !names.insert(&version.name) {
            return Err(version.at.error(format_args!(
                "version `{}` is there twice; give the newer one a name of its own",
                version.name
            )));
        }
        if version.until.is_some_and(|end| end <= version.from) {
            return Err(version.at.error(format_args!(
                "version `{}` ends before it begins; give an `until` after its `from`",
                version.name
            )));
        }
    }
    for pair in versions.windows(2) {
        let [one, next] = pair else { continue };
        if one.from == next.from {
            return Err(next.at.error(format_args!(
                "versions `{}` and `{}` overlap: both are valid from {}; give the newer one a later `from`",
                one.name, next.name, next.from
            )));
        }
        match one.until {
            Some(end) if end < next.from => {
                return Err(next.at.error(format_args!(
                    "there is a gap between versions `{}` and `{}`: nothing is valid from {end} to {}; leave `until` out, or \
                     let the newer one begin there",
                    one.name, next.name, next.from
                )));
            }
            Some(end) if end > next.from => {
                return Err(next.at.error(format_args!(
                    "versions `{}` and `{}` overlap from {} to {end}; leave `until` out, or let the newer one begin there",
                    one.name, next.name, next.from
                )));
            }
            _ => {}
        }
    }
    for (place, next) in versions.iter().enumerate() {
        let before = versions.get(..place).unwrap_or_default();
        for one in before {
            keep_currencies(one, next)?;
        }
    }
    Ok(())
}

fn keep_currencies(one: &PriceVersion, next: &PriceVersion) -> Result<(), ConfigError> {
    for plan in &next.plans {
        let before = one.plan_named(&plan.name).and_then(|it| it.currency);
        if let (Some(before), Some(now)) = (before, plan.currency)
            && before != now
        {
            return Err(plan.at.error(format_args!(
                "plan `{}` is in {before} in version `{}` and in {now} in version `{}`; a plan keeps its currency, so give the \
                 new one another name",
                plan.name, one.name, next.name
            )));
        }
    }
    Ok(())
}
