//! Reads a report from a sink.

use rust_decimal::Decimal;

use super::{ReportMeter, UsageReport};
use crate::{
    Resolution, RollupQuery, UsageCalendar, UsageError, UsageMeters, UsageSink,
    analytics::Analytics,
};

impl UsageReport {
    /// Adds each of these meters: its total, its days, and, where it adds up, its dimensions. The calendar is the one of the sink.
    ///
    /// # Errors
    /// A [`UsageError`]: of the kind [`InvalidQuery`](crate::UsageErrorKind::InvalidQuery) if the sink does not count a meter, or the
    /// period does not begin and end with a full minute.
    pub async fn read(
        mut self,
        sink: &dyn UsageSink,
        meters: &UsageMeters,
        calendar: &UsageCalendar,
    ) -> Result<Self, UsageError> {
        let (tenant, period) = (self.tenant, self.period);
        let analytics = Analytics::new(sink);
        for meter in meters.iter() {
            let name = meter.name();
            let days = analytics.series(tenant, name, Resolution::Day, period, calendar);
            let days = days.await?;
            let whole = RollupQuery::total(tenant, name, period);
            let total = sink.rollups(&whole).await?;
            let total = total
                .iter()
                .fold(Decimal::ZERO, |sum, it| sum.saturating_add(it.quantity));
            let mut read = ReportMeter::new(meter, total, days);
            if meter.aggregation().adds_up() && total > Decimal::ZERO {
                for dimension in meter.dimensions() {
                    let by = whole.clone().by_dimension(dimension);
                    read = read.parts(dimension, &sink.rollups(&by).await?);
                }
            }
            self.meters.push(read);
        }
        Ok(self)
    }
}
