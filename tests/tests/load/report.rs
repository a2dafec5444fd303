//! What happened, counted and timed.

use std::time::Duration;

use anyhow::ensure;
use tenancy_tests::Framework;

/// Which service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Tenancy,
    Bare,
}

impl Side {
    /// The text of a row that is made through it.
    pub(crate) fn body(self, slug: &str, number: u64) -> String {
        format!("{slug} {self:?} {number:x}")
    }

    /// Whether a row of that text was made through it.
    pub(crate) fn wrote(self, body: &str) -> bool {
        body.split(' ').nth(1) == Some(&format!("{self:?}"))
    }
}

#[derive(Default)]
pub(crate) struct Tally {
    /// How long each answer took, in microseconds.
    with: Vec<u64>,
    without: Vec<u64>,
    pub(crate) refused: u64,
    pub(crate) hung_up: u64,
    pub(crate) foreign: u64,
    pub(crate) written: u64,
    pub(crate) deleted: u64,
    /// What went wrong with the library, in words; must stay empty.
    pub(crate) faults: Vec<String>,
    /// How much went wrong without.
    faults_without: u64,
}

impl Tally {
    pub(crate) fn answered(&mut self, side: Side, took: Duration) {
        let took = took.as_micros() as u64;
        match side {
            Side::Tenancy => self.with.push(took),
            Side::Bare => self.without.push(took),
        }
    }

    pub(crate) fn fault(&mut self, side: Side, what: String) {
        match side {
            Side::Tenancy => self.faults.push(what),
            Side::Bare => self.faults_without += 1,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.with.extend(other.with);
        self.without.extend(other.without);
        self.refused += other.refused;
        self.hung_up += other.hung_up;
        self.foreign += other.foreign;
        self.written += other.written;
        self.deleted += other.deleted;
        self.faults.extend(other.faults);
        self.faults_without += other.faults_without;
    }

    pub(crate) fn report(&mut self, framework: Framework, suspensions: u64) {
        self.with.sort_unstable();
        self.without.sort_unstable();
        println!(
            "{framework:?}: {} requests answered with the library, {} without; \
             {} written, {} deleted, {} for foreign rows, {} hung up, \
             {} refused in {suspensions} suspensions",
            self.with.len(),
            self.without.len(),
            self.written,
            self.deleted,
            self.foreign,
            self.hung_up,
            self.refused,
        );
        for percent in [50, 95, 99] {
            let (with, without) = (part(&self.with, percent), part(&self.without, percent));
            let ratio = with / without;
            println!("  p{percent}: {with:.1} ms with, {without:.1} ms without, ratio {ratio:.2}");
        }
        if self.faults_without > 0 {
            println!("  without: {} unexpected answers", self.faults_without);
        }
    }

    /// Otherwise little was tested.
    pub(crate) fn ensure_enough(&self, suspensions: u64) -> anyhow::Result<()> {
        for (what, happened, least) in [
            ("answers with the library", self.with.len() as u64, 300),
            ("answers without", self.without.len() as u64, 300),
            ("rows written", self.written, 100),
            ("rows deleted", self.deleted, 10),
            ("requests for foreign rows", self.foreign, 50),
            ("clients that hung up", self.hung_up, 20),
            ("refusals", self.refused, 3),
            ("suspensions", suspensions, 10),
        ] {
            ensure!(happened >= least, "only {happened} {what}");
        }
        Ok(())
    }
}

/// The time that so many percent of sorted times do not exceed, in milliseconds.
fn part(sorted: &[u64], percent: usize) -> f64 {
    let at = sorted.len() * percent / 100;
    sorted
        .get(at)
        .map_or(f64::NAN, |took| *took as f64 / 1000.0)
}
