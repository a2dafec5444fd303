//! An invoice from JSON.

use rust_decimal::Decimal;
use serde_json::Value;
use tenancy_core::{Timestamp, quota::Window};

use super::{DraftInvoice, InvoiceLine, LineKind, RatingError, RatingErrorKind, Unpriced};
use crate::{UsageDigest, price::Currency};

impl DraftInvoice {
    /// Reads an invoice that was kept as [JSON](Self::to_json): to compare it with what is computed now, or to
    /// [adjust](super::Rating::adjust) a later one.
    ///
    /// ```
    /// use tenancy_core::{TenantId, Timestamp, quota::{Calendar, Period}};
    /// use tenancy_usage::{
    ///     UsageMeters,
    ///     invoice::{DraftInvoice, Rating},
    ///     price::{PlanPrices, PriceBook, PriceVersion},
    /// };
    ///
    /// let version = PriceVersion::new("first", Timestamp::EPOCH).plan(PlanPrices::new("pro").flat("base fee", 29));
    /// let book = PriceBook::builder("EUR").version(version).build(&UsageMeters::default())?;
    /// let month = Calendar::utc().window(Period::Month, Timestamp::from_unix_seconds(1_800_000_000));
    /// let invoice = Rating::new(&book, TenantId::new(), month).plan("pro", []).rate()?;
    /// let kept = invoice.to_json().to_string();
    /// assert_eq!(DraftInvoice::from_json(&serde_json::from_str(&kept)?)?, invoice);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A [`RatingError`] of the kind [`Unreadable`](RatingErrorKind::Unreadable) that names the field which is missing or is
    /// something else; also if the lines do not add up to `total`.
    pub fn from_json(json: &Value) -> Result<Self, RatingError> {
        let of = Object(json);
        let invoice = Self {
            tenant: of.parsed("tenant")?,
            period: of.window("period")?,
            version: of.text("version")?.into(),
            version_digest: of.digest("version_digest")?,
            currency: Currency::new(of.text("currency")?).map_err(|_| unreadable("currency"))?,
            lines: of.each("lines", line)?,
            unpriced: of.each("unpriced", unpriced)?,
        };
        if invoice.total() != of.decimal("total")? {
            return Err(unreadable("total"));
        }
        Ok(invoice)
    }
}

fn line(json: &Value) -> Result<InvoiceLine, RatingError> {
    let of = Object(json);
    let kind = of.text("kind")?;
    let kind = LineKind::ALL.into_iter().find(|it| it.as_str() == kind);
    Ok(InvoiceLine {
        kind: kind.ok_or_else(|| unreadable("kind"))?,
        plan: of.text("plan")?.into(),
        window: of.window("window")?,
        meter: of.maybe("meter", Object::text)?.map(Into::into),
        description: of.text("description")?.into(),
        tier: of.maybe("tier", Object::tier)?,
        quantity: of.decimal("quantity")?,
        unit: of.text("unit")?.into(),
        unit_price: of.maybe("unit_price", Object::decimal)?,
        flat: of.decimal("flat")?,
        amount: of.decimal("amount")?,
        input: of.digest("input")?,
    })
}

fn unpriced(json: &Value) -> Result<Unpriced, RatingError> {
    let of = Object(json);
    Ok(Unpriced {
        plan: of.text("plan")?.into(),
        meter: of.text("meter")?.into(),
        quantity: of.decimal("quantity")?,
    })
}

fn unreadable(field: &str) -> RatingError {
    RatingError::new(
        RatingErrorKind::Unreadable,
        format!(
            "the field `{field}` is missing, or is not what an invoice has there; give the JSON as it was written"
        ),
    )
}

/// The fields of an object.
#[derive(Clone, Copy)]
struct Object<'j>(&'j Value);

impl<'j> Object<'j> {
    fn text(self, field: &str) -> Result<&'j str, RatingError> {
        let text = self.0.get(field).and_then(Value::as_str);
        text.ok_or_else(|| unreadable(field))
    }

    fn parsed<T: std::str::FromStr>(self, field: &str) -> Result<T, RatingError> {
        self.text(field)?.parse().map_err(|_| unreadable(field))
    }

    fn decimal(self, field: &str) -> Result<Decimal, RatingError> {
        Decimal::from_str_exact(self.text(field)?).map_err(|_| unreadable(field))
    }

    fn tier(self, field: &str) -> Result<u32, RatingError> {
        let tier = self.0.get(field).and_then(Value::as_u64);
        tier.and_then(|tier| u32::try_from(tier).ok())
            .ok_or_else(|| unreadable(field))
    }

    fn digest(self, field: &str) -> Result<UsageDigest, RatingError> {
        UsageDigest::from_hex(self.text(field)?).ok_or_else(|| unreadable(field))
    }

    fn window(self, field: &str) -> Result<Window, RatingError> {
        let of = Object(self.0.get(field).ok_or_else(|| unreadable(field))?);
        let moment = |end: &str| {
            let at: jiff::Timestamp = of.parsed(end)?;
            Ok::<_, RatingError>(Timestamp::from_unix_micros(at.as_microsecond()))
        };
        Ok(Window::new(moment("start")?, moment("end")?))
    }

    fn maybe<T>(
        self,
        field: &str,
        read: impl FnOnce(Self, &str) -> Result<T, RatingError>,
    ) -> Result<Option<T>, RatingError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => read(self, field).map(Some),
        }
    }

    fn each<T>(
        self,
        field: &str,
        read: impl Fn(&Value) -> Result<T, RatingError>,
    ) -> Result<Vec<T>, RatingError> {
        let all = self.0.get(field).and_then(Value::as_array);
        all.ok_or_else(|| unreadable(field))?
            .iter()
            .map(read)
            .collect()
    }
}
