//! Books that are written as TOML.

use std::time::Duration;

use crate::{
    MemoryDirectory, PermissionRegistry, PlanBook, Price, Retention, SystemRole, Tenancy,
    quota::{Limit, Meter, Overage, Period, Quotas, Scope},
};

fn quotas() -> Quotas {
    Quotas::new()
        .meter(Meter::consumed("requests"))
        .meter(Meter::concurrent("jobs"))
        .meter(Meter::held("projects"))
}

fn built(book: PlanBook) -> Result<Tenancy, String> {
    let permissions = PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member);
    let tenancy = Tenancy::builder(MemoryDirectory::new())
        .established_principals()
        .permissions(permissions.build().unwrap())
        .plans(book)
        .quotas(quotas());
    tenancy.build().map_err(|error| error.to_string())
}

fn read(text: &str) -> Result<Tenancy, String> {
    built(PlanBook::from_toml(text).map_err(|error| error.to_string())?)
}

const ALL: &str = r#"
tenants_without_plan = "free"

[plans.free]
permissions = ["notes:read"]
limits.requests = "not included"
limits.jobs = "not included"
limits.projects = { held = 1 }

[plans.pro]
permissions = ["notes:*"]
features = ["sso", "export"]
retention = { runs = "90 days", drafts = "1 day", invoices = "for good" }
support = "by mail"
price = [
    { minor_units = 2_900, currency = "EUR", per = "month" },
    { minor_units = 29_000, currency = "EUR", per = "year" },
]

[plans.pro.limits]
requests = [
    { rate = 600, per = "minute", burst = 100 },
    { rate = 5, per = "10 seconds", scope = "key" },
    { per_hour = 1_000, scope = "caller" },
    { per_day = 9_000, name = "a-days-requests" },
    { per_month = 100_000, overage = 20_000, warn_at = [80, 100] },
    { per_year = 1_000_000, overage = "allowed" },
]
jobs = { at_once = 5, expires_after = "1 hour", scope = "project" }
projects = { held = 50, expires_after = "30 seconds", overage = "denied" }

[plans.enterprise]
permissions = ["*"]
price = "by agreement"
limits = { requests = "unlimited", jobs = { unlimited = true, scope = "project" }, projects = "unlimited" }
"#;

#[test]
fn a_written_book_says_what_one_in_code_says() {
    let minute = Duration::from_secs(60);
    let in_code = PlanBook::new()
        .plan("free", ["notes:read"])
        .limits(
            "free",
            [
                Limit::not_included("requests"),
                Limit::not_included("jobs"),
                Limit::held("projects", 1),
            ],
        )
        .plan("pro", ["notes:*"])
        .features("pro", ["sso", "export"])
        .retention(
            "pro",
            [
                ("runs", Retention::Days(90)),
                ("drafts", Retention::Days(1)),
                ("invoices", Retention::ForGood),
            ],
        )
        .support("pro", "by mail")
        .price("pro", Price::per_month(2_900, "EUR"))
        .price("pro", Price::per_year(29_000, "EUR"))
        .limits(
            "pro",
            [
                Limit::rate("requests", 600, minute).burst(100),
                Limit::rate("requests", 5, Duration::from_secs(10)).scope(Scope::Key),
                Limit::per_period("requests", 1_000, Period::Hour).scope(Scope::Caller),
                Limit::per_period("requests", 9_000, Period::Day).named("a-days-requests"),
                Limit::per_period("requests", 100_000, Period::Month)
                    .overage(Overage::AllowedUpTo(20_000))
                    .warn_at([80, 100]),
                Limit::per_period("requests", 1_000_000, Period::Year).overage(Overage::Allowed),
                Limit::concurrent("jobs", 5)
                    .expires_after(60 * minute)
                    .scope(Scope::Project),
                Limit::held("projects", 50).expires_after(Duration::from_secs(30)),
            ],
        )
        .plan("enterprise", ["*"])
        .price("enterprise", Price::ByAgreement)
        .limits(
            "enterprise",
            [
                Limit::unlimited("requests"),
                Limit::unlimited("jobs").scope(Scope::Project),
                Limit::unlimited("projects"),
            ],
        );
    let (written, in_code) = (read(ALL).unwrap(), built(in_code).unwrap());
    assert_eq!(written.all_plans(), in_code.all_plans());
    assert_eq!(written.all_plans().len(), 3);
}

/// A plan that is complete, and one line more.
fn free_with(line: &str) -> String {
    format!(
        "[plans.free]\npermissions = [\"*\"]\nlimits.requests = \"unlimited\"\nlimits.jobs = \"unlimited\"\n{line}"
    )
}

/// The same with a limit of projects, which begins in column 19 of line 5.
fn projects(limit: &str) -> String {
    free_with(&format!("limits.projects = {limit}"))
}

/// The same with a limit of requests, which begins in column 19 of line 3.
fn requests(limit: &str) -> String {
    format!(
        "[plans.free]\npermissions = [\"*\"]\nlimits.requests = {limit}\nlimits.jobs = \"unlimited\"\n\
         limits.projects = \"unlimited\""
    )
}

fn priced(price: &str) -> String {
    projects("{ held = 1 }") + &format!("\nprice = {price}")
}

#[test]
fn what_is_wrong_in_a_written_book_is_told_with_its_place() {
    for (text, said) in [
        (
            "".into(),
            "line 1, column 1: the book says no `plans`; begin a plan with `[plans.free]`",
        ),
        (
            "plans = 3".into(),
            "line 1, column 9: `plans` has to be a table of plans by name, such as `[plans.free]`; this is a whole number",
        ),
        (
            "[plans]".into(),
            "line 1, column 2: the book has no plan; begin one with `[plans.free]`",
        ),
        (
            "[plans.free".into(),
            "line 1, column 12: no TOML: unclosed table, expected `]`",
        ),
        (
            "[plans.free]\npermissions = [\"*\"]\n\n[plans.free]\npermissions = []".into(),
            "line 4, column 8: this name stands here a second time; keep one of them",
        ),
        (
            "[plans.\"\"]\npermissions = [\"*\"]".into(),
            "line 1, column 8: a plan has no name; give it one",
        ),
        (
            "plan = 1\n[plans.free]".into(),
            "line 1, column 1: the book has no field `plan`; it has `plans`, `tenants_without_plan`",
        ),
        (
            "[plans.free]\nfeatures = [\"sso\"]".into(),
            "line 1, column 1: plan `free` says no `permissions`; give the grants that it permits, such as [\"notes:read\"]; [\"*\"] is everything",
        ),
        (
            "[plans.free]\npermissions = \"*\"".into(),
            "line 2, column 15: plan `free`: `permissions` has to be a list of texts, such as [\"notes:read\", \"notes:write\"]; this is a text",
        ),
        (
            "[plans.free]\npermissions = [\"notes:read\", \"notes:red\"]".into(),
            "line 2, column 30: plan `free` permits `notes:red`, which covers no permission that is declared; declare it or remove the grant",
        ),
        (
            "[plans.free]\npermissions = [\"*\"]\n  limits.requests = \"unlimited\"\n".into(),
            "line 1, column 8: plan `free` says nothing about the meter `jobs`; add a limit with `PlanBook::limits`: `Limit::unlimited` or `Limit::not_included`, if nothing else",
        ),
        (
            "tenants_without_plan = \"fre\"\n".to_owned() + &projects("{ held = 1 }"),
            "line 1, column 24: tenants without a plan are to count as `fre`, which is not in the book",
        ),
        (
            "tenants_without_plan = 1\n".to_owned() + &projects("{ held = 1 }"),
            "line 1, column 24: `tenants_without_plan` has to be the name of a plan; this is a whole number",
        ),
        (
            projects("{ held = 1 }") + "\nlimits.seats = { held = 3 }",
            "line 6, column 16: plan `free`: limit `seats-held`: there is no meter `seats`; declare it with `Quotas::meter`",
        ),
        (
            projects("{ held = 1 }") + "\nlimits.projects = { held = 3 }",
            "line 6, column 8: this name stands here a second time; keep one of them",
        ),
        (
            projects("{ held = 1 }") + "\nfeature = [\"sso\"]",
            "line 6, column 1: plan `free` has no field `feature`; it has `permissions`, `features`, `retention`, `support`, `price`, `limits`",
        ),
        (
            projects("{ held = 1 }") + "\nfeatures = [\"sso\", 1]",
            "line 6, column 20: plan `free`: each of `features` has to be a text; this is a whole number",
        ),
        (
            projects("{ held = 1 }") + "\nsupport = \"\"",
            "line 6, column 11: plan `free`: the support is blank; say which support there is, or remove it",
        ),
        (
            projects("{ held = 1 }") + "\nsupport = true",
            "line 6, column 11: plan `free`: `support` has to be a text; this is true or false",
        ),
        (
            projects("{ held = 1 }") + "\nretention = 30",
            "line 6, column 13: plan `free`: `retention` has to be a table, such as { test-runs = \"90 days\" }; this is a whole number",
        ),
        (
            projects("{ held = 1 }") + "\nretention = { runs = 30 }",
            "line 6, column 22: plan `free`: the retention of `runs` has to be a number of days, such as \"90 days\", or \"for good\"; this is a whole number",
        ),
        (
            projects("{ held = 1 }") + "\nretention = { runs = \"a month\" }",
            "line 6, column 22: plan `free`: the retention of `runs` has to be a number of days, such as \"90 days\", or \"for good\"; `a month` is neither",
        ),
        (
            projects("{ held = 1 }") + "\nretention = { runs = \"0 days\" }",
            "line 6, column 15: plan `free`: `runs` would be kept for 0 days; give 1 day or more",
        ),
        (
            projects("{ held = 1 }") + "\nretention = { runs = \"-3 days\" }",
            "line 6, column 22: plan `free`: the retention of `runs` has to be a number of days, such as \"90 days\", or \"for good\"; `-3 days` is neither",
        ),
        (
            projects("{ held = 1 }") + "\nretention = { runs = \"99999999999 days\" }",
            "line 6, column 22: plan `free`: the retention of `runs` has to be a number of days, such as \"90 days\", or \"for good\"; `99999999999 days` is neither",
        ),
        (
            priced("2900"),
            "line 6, column 9: plan `free`: `price` has to be { minor_units = 2900, currency = \"EUR\", per = \"month\" }, or \"by agreement\"; this is a whole number",
        ),
        (
            priced("\"on request\""),
            "line 6, column 9: plan `free`: `price` has to be { minor_units = 2900, currency = \"EUR\", per = \"month\" }, or \"by agreement\"; `on request` is neither",
        ),
        (
            priced("{ minor_units = 2900, per = \"month\" }"),
            "line 6, column 9: plan `free`: `price` says no `currency`; give its code by ISO 4217, such as \"EUR\"",
        ),
        (
            priced("{ minor_units = -1, currency = \"EUR\", per = \"month\" }"),
            "line 6, column 25: plan `free`: `price`: `minor_units` has to be a whole number from 0 to 999999999999999",
        ),
        (
            priced("{ minor_units = 29.0, currency = \"EUR\", per = \"month\" }"),
            "line 6, column 25: plan `free`: `price`: `minor_units` has to be a whole number from 0 to 999999999999999; this is a number with a fraction",
        ),
        (
            priced("{ minor_units = 2900, currency = \"Euro\", per = \"month\" }"),
            "line 6, column 9: plan `free`: `Euro` is no code of a currency; give three capital letters by ISO 4217, such as EUR",
        ),
        (
            priced("{ minor_units = 2900, currency = \"EUR\", per = \"week\" }"),
            "line 6, column 55: plan `free`: `price`: `per` has to be \"month\" or \"year\"; `week` is neither",
        ),
        (
            priced("{ amount = 2900, currency = \"EUR\", per = \"month\" }"),
            "line 6, column 11: plan `free`: `price` has no field `amount`; it has `minor_units`, `currency`, `per`",
        ),
        (
            priced(
                "[{ minor_units = 2900, currency = \"EUR\", per = \"month\" },\n { minor_units = 2901, currency = \"EUR\", per = \"month\" }]",
            ),
            "line 7, column 2: plan `free`: it has two prices a month in EUR; keep one of them",
        ),
        (
            priced(
                "[\"by agreement\", { minor_units = 2901, currency = \"EUR\", per = \"month\" }]",
            ),
            "line 6, column 26: plan `free`: a price by agreement stands beside another price; keep one of them",
        ),
        (
            projects("3"),
            "line 5, column 19: plan `free`: the limit of `projects` has to be a limit, such as { per_month = 1000 }, \"unlimited\" or \"not included\"; this is a whole number",
        ),
        (
            projects("\"infinite\""),
            "line 5, column 19: plan `free`: the limit of `projects` has to be a limit, such as { per_month = 1000 }, \"unlimited\" or \"not included\"; `infinite` is none",
        ),
        (
            projects("{ held = 0 }"),
            "line 5, column 28: plan `free`: the limit of `projects`: `held` is 0; write \"not included\" in the place of the limit if the plan has nothing of it",
        ),
        (
            projects("{ held = -1 }"),
            "line 5, column 28: plan `free`: the limit of `projects`: `held` has to be a whole number from 1 to 999999999999999",
        ),
        (
            projects("{ held = 1.5 }"),
            "line 5, column 28: plan `free`: the limit of `projects`: `held` has to be a whole number from 1 to 999999999999999; this is a number with a fraction",
        ),
        (
            projects("{ held = nan }"),
            "line 5, column 28: plan `free`: the limit of `projects`: `held` has to be a whole number from 1 to 999999999999999; this is a number with a fraction",
        ),
        (
            projects("{ held = 1_000_000_000_000_000 }"),
            "line 5, column 28: plan `free`: the limit of `projects`: `held` has to be a whole number from 1 to 999999999999999",
        ),
        (
            projects("{ held = 99999999999999999999999999999999999999999 }"),
            "line 5, column 28: plan `free`: the limit of `projects`: `held` has to be a whole number from 1 to 999999999999999",
        ),
        (
            projects("{ held = \"three\" }"),
            "line 5, column 28: plan `free`: the limit of `projects`: `held` has to be a whole number from 1 to 999999999999999; this is a text",
        ),
        (
            projects("{ heldd = 3 }"),
            "line 5, column 21: plan `free`: the limit of `projects` has no field `heldd`; it has `rate`, `per`, `burst`, `per_hour`, `per_day`, `per_month`, `per_year`, `at_once`, `held`, `unlimited`, `not_included`, `scope`, `overage`, `warn_at`, `expires_after`, `on_outage`, `name`",
        ),
        (
            projects("{ warn_at = [80] }"),
            "line 5, column 19: plan `free`: the limit of `projects` does not say how much there is; give one of `rate`, `per_hour`, `per_day`, `per_month`, `per_year`, `at_once`, `held`, `unlimited`, `not_included`",
        ),
        (
            projects("{ held = 3, at_once = 3 }"),
            "line 5, column 21: plan `free`: the limit of `projects` says both `at_once` and `held`; make a list of two limits: [{ … }, { … }]",
        ),
        (
            projects("{ at_once = 3 }"),
            "line 5, column 19: plan `free`: limit `projects-at-once`: the meter `projects` is one of what is held, and this limit is for what is concurrent; declare the meter with `Meter::concurrent`",
        ),
        (
            projects("{ held = 3, burst = 3 }"),
            "line 5, column 19: plan `free`: limit `projects-held`: a limit of this shape has no `burst`; remove it",
        ),
        (
            projects("{ unlimited = false }"),
            "line 5, column 33: plan `free`: the limit of `projects`: `unlimited` can only be true; remove it otherwise",
        ),
        (
            projects("[{ held = 3 }, { held = 4 }]"),
            "line 5, column 34: plan `free`: two limits are called `projects-held`; remove one, or give it a name of its own with `Limit::named`",
        ),
        (
            projects("[{ held = 3 }, \"unlimited\"]"),
            "line 5, column 34: plan `free`: two limits are called `projects-held`; remove one, or give it a name of its own with `Limit::named`",
        ),
        (
            projects("{ held = 3, name = \"Our projects\" }"),
            "line 5, column 19: plan `free`: limit `Our projects`: a limit's name has 1 to 64 lower-case letters, digits, hyphens, underscores and colons; give one with `Limit::named`",
        ),
        (
            projects("{ held = 3, expires_after = \"soon\" }"),
            "line 5, column 47: plan `free`: the limit of `projects`: `expires_after` has to be a length of time, such as \"minute\" or \"10 seconds\"; `soon` is none",
        ),
        (
            projects("{ held = 3, expires_after = \"0 seconds\" }"),
            "line 5, column 47: plan `free`: the limit of `projects`: `expires_after` has to be a length of time, such as \"minute\" or \"10 seconds\"; `0 seconds` is none",
        ),
        (
            projects("{ held = 3, expires_after = 2026-01-01 }"),
            "line 5, column 47: plan `free`: the limit of `projects`: `expires_after` has to be a length of time, such as \"minute\" or \"10 seconds\"; this is a date or a time",
        ),
        (
            requests("{ rate = 600 }"),
            "line 3, column 19: plan `free`: the limit of `requests` says no `per`; give the time in which so many may come, such as per = \"minute\"",
        ),
        (
            requests("{ rate = 600, per = \"month\" }"),
            "line 3, column 39: plan `free`: the limit of `requests`: `per` has to be a length of time, such as \"minute\" or \"10 seconds\"; `month` is none",
        ),
        (
            requests("{ rate = 600, per = 60 }"),
            "line 3, column 39: plan `free`: the limit of `requests`: `per` has to be a length of time, such as \"minute\" or \"10 seconds\"; this is a whole number",
        ),
        (
            requests("{ rate = 600, per = \"999999999999999999 days\" }"),
            "line 3, column 39: plan `free`: the limit of `requests`: `per` has to be a length of time, such as \"minute\" or \"10 seconds\"; `999999999999999999 days` is none",
        ),
        (
            requests("{ rate = 600, per = \"minute\", burst = 0 }"),
            "line 3, column 57: plan `free`: the limit of `requests`: `burst` has to be a whole number from 1 to 999999999999999",
        ),
        (
            requests("{ rate = 600, per = \"minute\", overage = \"allowed\" }"),
            "line 3, column 19: plan `free`: limit `requests-per-minute`: overage is for limits per period and for what is held; remove it",
        ),
        (
            requests("{ per_month = 600, per = \"minute\" }"),
            "line 3, column 38: plan `free`: the limit of `requests` has `per` beside `per_month`; `per` belongs to `rate`",
        ),
        (
            requests("{ per_month = 600, overage = true }"),
            "line 3, column 48: plan `free`: the limit of `requests`: `overage` has to be \"denied\", \"allowed\", or how much is allowed beyond the limit; this is true or false",
        ),
        (
            requests("{ per_month = 600, overage = \"some\" }"),
            "line 3, column 48: plan `free`: the limit of `requests`: `overage` has to be \"denied\", \"allowed\", or how much is allowed beyond the limit; `some` is none",
        ),
        (
            requests("{ per_month = 600, overage = 0 }"),
            "line 3, column 48: plan `free`: the limit of `requests`: `overage` has to be a whole number from 1 to 999999999999999",
        ),
        (
            requests("{ per_month = 600, on_outage = \"shut\" }"),
            "line 3, column 50: plan `free`: the limit of `requests`: `on_outage` has to be \"closed\", \"open\", or a share, such as { share_of = 10 } for 10 processes; `shut` is none",
        ),
        (
            requests("{ per_month = 600, on_outage = { share_of = 0 } }"),
            "line 3, column 63: plan `free`: the limit of `requests`: `on_outage`: `share_of` has to be a whole number from 1 to 4294967295",
        ),
        (
            requests("{ per_month = 600, on_outage = {} }"),
            "line 3, column 50: plan `free`: the limit of `requests`: `on_outage` says no `share_of`; give the number of processes that serve",
        ),
        (
            requests("{ per_month = 600, warn_at = 80 }"),
            "line 3, column 48: plan `free`: the limit of `requests`: `warn_at` has to be a list of percents, such as [80, 100]; this is a whole number",
        ),
        (
            requests("{ per_month = 600, warn_at = [80, 300] }"),
            "line 3, column 53: plan `free`: the limit of `requests`: each of `warn_at` has to be a whole number from 1 to 255",
        ),
        (
            requests("{ per_month = 600, scope = \"everybody\" }"),
            "line 3, column 46: plan `free`: the limit of `requests`: `scope` has to be \"caller\", \"key\", \"project\", \"tenant\" or \"system\"; `everybody` is none",
        ),
        (
            requests("[{ per_month = 600 }, { rate = 600, per = \"minute\", warn_at = [1] }]"),
            "line 3, column 41: plan `free`: limit `requests-per-minute`: `warn_at` is for limits per period and for what is held; remove it",
        ),
        (
            requests("[{ per_month = 600 },\n\n      { per_month = 700, scope = \"tenant\" }]"),
            "line 5, column 7: plan `free`: two limits are called `requests-monthly`; remove one, or give it a name of its own with `Limit::named`",
        ),
        (
            "# Größe: „groß“\n".to_owned()
                + &requests("{ per_month = 600, \"größe\" = 1, scöpe = 2 }"),
            "line 4, column 53: no TOML: invalid unquoted key, expected letters, numbers, `-`, `_`",
        ),
        (
            "[plans.free]\r\npermissions = [\"*\"]\r\nlimits = { \"größe\" = 1 }".into(),
            "line 3, column 22: plan `free`: the limit of `größe` has to be a limit, such as { per_month = 1000 }, \"unlimited\" or \"not included\"; this is a whole number",
        ),
    ] {
        let error = read(&text).expect_err(&text);
        assert_eq!(error, said, "{text}");
    }
}
