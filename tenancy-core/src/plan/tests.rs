//! What a book says about a plan, and what is refused.

#[cfg(feature = "toml")]
mod written;

use super::*;
use crate::{MemoryDirectory, Tenancy, quota::Quotas};

fn built(book: PlanBook) -> Result<Tenancy, String> {
    let tenancy = Tenancy::builder(MemoryDirectory::new())
        .established_principals()
        .plans(book)
        .quotas(Quotas::new());
    tenancy.build().map_err(|error| error.to_string())
}

#[test]
fn a_plan_tells_what_the_book_says_of_it() {
    let book = PlanBook::new()
        .plan("pro", ["*"])
        .features("pro", ["sso", "audit-log"])
        .retention("pro", [("runs", Retention::Days(90))])
        .retention("pro", [("invoices", Retention::ForGood)])
        .support("pro", "by mail")
        .price("pro", Price::per_month(2_900, "EUR"))
        .price("pro", Price::per_year(29_000, "EUR"))
        .price("pro", Price::per_month(3_100, "USD"))
        .plan("free", []);
    let tenancy = built(book).unwrap();
    let pro = tenancy.plan("pro").unwrap();
    assert_eq!(pro.name(), "pro");
    assert_eq!(pro.features().collect::<Vec<_>>(), ["audit-log", "sso"]);
    assert!(pro.has_feature("sso") && !pro.has_feature("scim"));
    assert_eq!(pro.retention("runs"), Some(Retention::Days(90)));
    assert_eq!(pro.retention("logs"), None);
    let kept: Vec<_> = pro.retentions().collect();
    assert_eq!(
        kept,
        [
            ("invoices", Retention::ForGood),
            ("runs", Retention::Days(90))
        ]
    );
    assert_eq!(pro.support(), Some("by mail"));
    let prices = [
        Price::per_month(2_900, "EUR"),
        Price::per_year(29_000, "EUR"),
        Price::per_month(3_100, "USD"),
    ];
    assert_eq!(pro.prices(), prices);
    let free = tenancy.plan("free").unwrap();
    assert_eq!(
        (free.support(), free.prices().len(), free.features().count()),
        (None, 0, 0)
    );
    let names: Vec<_> = tenancy
        .all_plans()
        .iter()
        .map(|plan| plan.name().to_owned())
        .collect();
    assert_eq!(names, ["pro", "free"]);
    assert_eq!(tenancy.plan("enterprise"), None);
}

#[test]
fn what_cant_be_meant_of_a_plan_is_refused_when_the_engine_is_built() {
    let book = || PlanBook::new().plan("pro", ["*"]);
    let monthly = |currency: &str| book().price("pro", Price::per_month(1, currency));
    for (book, said) in [
        (
            book().support("free", "by mail"),
            "plan `free` is given support and is not in the book; add it with `plan`",
        ),
        (
            book().price("free", Price::ByAgreement),
            "plan `free` is given a price and is not in the book; add it with `plan`",
        ),
        (
            book().retention("free", [("runs", Retention::ForGood)]),
            "plan `free` is given retention and is not in the book; add it with `plan`",
        ),
        (
            book().retention("pro", [("runs", Retention::Days(0))]),
            "plan `pro`: `runs` would be kept for 0 days; give 1 day or more",
        ),
        (
            book().retention("pro", [(" ", Retention::ForGood)]),
            "plan `pro`: retention is given for something without a name; give what is kept a name",
        ),
        (
            book().retention(
                "pro",
                [("runs", Retention::ForGood), ("runs", Retention::Days(1))],
            ),
            "plan `pro`: the retention of `runs` is given twice; keep one of them",
        ),
        (
            book().support("pro", "  "),
            "plan `pro`: the support is blank; say which support there is, or remove it",
        ),
        (
            book().support("pro", "by mail").support("pro", "by phone"),
            "plan `pro`: the support is given twice; keep one of them",
        ),
        (
            monthly("eur"),
            "plan `pro`: `eur` is no code of a currency; give three capital letters by ISO 4217, such as EUR",
        ),
        (
            monthly("EURO"),
            "plan `pro`: `EURO` is no code of a currency; give three capital letters by ISO 4217, such as EUR",
        ),
        (
            monthly("EUR").price("pro", Price::per_month(2, "EUR")),
            "plan `pro`: it has two prices a month in EUR; keep one of them",
        ),
        (
            monthly("EUR").price("pro", Price::ByAgreement),
            "plan `pro`: a price by agreement stands beside another price; keep one of them",
        ),
        (
            book()
                .price("pro", Price::ByAgreement)
                .price("pro", Price::per_year(2, "EUR")),
            "plan `pro`: a price by agreement stands beside another price; keep one of them",
        ),
        (
            book().price("pro", Price::per_month(u64::MAX, "EUR")),
            "plan `pro`: a price of 18446744073709551615 is too large; give at most 999999999999999",
        ),
    ] {
        assert_eq!(built(book).unwrap_err(), said);
    }
}
