//! A second program for invoices, in the plainest way: whole numbers alone, quarter of a unit by quarter of a unit.

/// A price, in millionths of a euro for a unit; quantities in quarters of a unit.
#[derive(Debug, Clone)]
pub(crate) struct NaivePrice {
    pub(crate) model: NaiveModel,
    pub(crate) included: i128,
    pub(crate) minimum_cents: i128,
}

#[derive(Debug, Clone)]
pub(crate) enum NaiveModel {
    PerUnit(i128),
    /// The last has no edge.
    Graduated(Vec<NaiveTier>),
    Volume(Vec<NaiveTier>),
    Package {
        quarters: i128,
        cents: i128,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct NaiveTier {
    pub(crate) up_to: Option<i128>,
    pub(crate) millionths: i128,
    pub(crate) flat_cents: i128,
}

/// Four millionths of a euro, for the fourth parts of a unit.
const CENT: i128 = 4 * 10_000;

/// Cents, half to even.
fn cents(fine: i128) -> i128 {
    let (whole, rest) = (fine / CENT, fine % CENT);
    if rest * 2 > CENT || (rest * 2 == CENT && whole % 2 == 1) {
        whole + 1
    } else {
        whole
    }
}

/// What a number of quarters costs, in cents: walks through them one by one.
pub(crate) fn price(price: &NaivePrice, quarters: i128) -> i128 {
    let mut taken = 0; // beyond what is included
    let mut in_tier = vec![0_i128; 16];
    for quarter in 0..quarters {
        if quarter < price.included {
            continue;
        }
        taken += 1;
        if let NaiveModel::Graduated(tiers) = &price.model {
            let mut place = 0;
            while tiers[place].up_to.is_some_and(|edge| taken > edge) {
                place += 1;
            }
            in_tier[place] += 1;
        }
    }
    let sum = match &price.model {
        NaiveModel::PerUnit(millionths) => {
            let mut fine = 0;
            for _ in 0..taken {
                fine += millionths;
            }
            cents(fine)
        }
        NaiveModel::Graduated(tiers) => {
            let mut sum = 0;
            for (tier, count) in tiers.iter().zip(in_tier) {
                if count > 0 {
                    sum += cents(count * tier.millionths + tier.flat_cents * CENT);
                }
            }
            sum
        }
        NaiveModel::Volume(tiers) => {
            let mut sum = 0;
            if taken > 0 {
                for tier in tiers {
                    if tier.up_to.is_none_or(|edge| taken <= edge) {
                        sum = cents(taken * tier.millionths + tier.flat_cents * CENT);
                        break;
                    }
                }
            }
            sum
        }
        NaiveModel::Package { quarters, cents } => {
            let (mut rest, mut sum) = (taken, 0);
            while rest > 0 {
                rest -= quarters;
                sum += cents;
            }
            sum
        }
    };
    sum.max(price.minimum_cents)
}
