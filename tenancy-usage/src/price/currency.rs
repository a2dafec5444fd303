//! Currencies, and how amounts of them are rounded.

use std::fmt;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Serialize, Serializer};
use tenancy_core::ConfigError;

/// A currency: its code by ISO 4217, and how many digits its amounts have after the point.
///
/// Amounts are decimals of the main unit: 29.5 are 29 euros and 50 cents. Each line of an invoice is rounded to the smallest
/// unit, half to even: 0.125 euros are 0.12, and 0.135 are 0.14. Nothing is rounded before or after that.
///
/// ```
/// use tenancy_usage::{Decimal, price::Currency};
///
/// let euro = Currency::new("EUR")?;
/// assert_eq!(euro.round(Decimal::new(125, 3)).to_string(), "0.12");
/// assert_eq!(Currency::new("JPY")?.minor_digits(), 0);
/// assert!(Currency::new("euro").is_err());
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Those that have not two digits after the point, as ISO 4217 lists them.
const WITHOUT_MINOR: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
const OF_THREE: &str = "BHD IQD JOD KWD LYD OMR TND";
const OF_FOUR: &str = "CLF UYW";

impl Currency {
    /// The currency of this code.
    ///
    /// # Errors
    /// A [`ConfigError`] if it is not three capital letters.
    pub fn new(code: &str) -> Result<Self, ConfigError> {
        let letters = <[u8; 3]>::try_from(code.as_bytes()).ok();
        match letters.filter(|it| it.iter().all(u8::is_ascii_uppercase)) {
            Some(letters) => Ok(Self(letters)),
            None => Err(ConfigError::new(format!(
                "`{code}` is no code of a currency; give three capital letters by ISO 4217, such as EUR"
            ))),
        }
    }

    /// Its code: three capital letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many digits its amounts have after the point.
    #[must_use]
    pub fn minor_digits(&self) -> u32 {
        let is_in = |list: &str| list.split(' ').any(|code| code == self.code());
        if is_in(WITHOUT_MINOR) {
            0
        } else if is_in(OF_THREE) {
            3
        } else if is_in(OF_FOUR) {
            4
        } else {
            2
        }
    }

    /// An amount in whole smallest units, rounded half to even; with as many digits after the point as the currency has.
    #[must_use]
    pub fn round(&self, amount: Decimal) -> Decimal {
        let digits = self.minor_digits();
        let mut rounded =
            amount.round_dp_with_strategy(digits, RoundingStrategy::MidpointNearestEven);
        rounded.rescale(digits);
        rounded
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}
