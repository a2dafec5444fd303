//! What pages of other origins may read of limits, and what problems say of them.

use reqwest::Method;
use serde_json::json;
use tenancy_core::quota::{Limit, Quotas, Scope};

use crate::world::{MINUTE, PAGES, field, on_both, problem, quotas, status, with};

fn few_of_each_address() -> Quotas {
    quotas().per_address(Limit::rate("requests", 60, MINUTE).burst(6))
}

fn three_of_all() -> Quotas {
    quotas().limit(Limit::rate("exports", 3, MINUTE).scope(Scope::System))
}

const EXPOSED: &str = "retry-after,www-authenticate,ratelimit-policy,ratelimit";

#[tokio::test]
async fn a_page_may_read_what_is_left_and_when_to_come_back() -> anyhow::Result<()> {
    on_both(with(few_of_each_address), async |world| {
        let export = || world.post("/export").header("origin", PAGES).send();
        let answer = export().await?;
        assert_eq!(answer.status(), 200);
        assert_eq!(field(&answer, "access-control-allow-origin"), PAGES);
        assert_eq!(field(&answer, "access-control-expose-headers"), EXPOSED);
        let left = field(&answer, "ratelimit");
        assert!(left.starts_with(r#""exports-daily";r=4;t="#), "{left}");
        assert!(field(&answer, "ratelimit-policy").starts_with(r#""exports-daily";q=5;"#));
        for _ in 0..4 {
            assert_eq!(export().await?.status(), 200);
        }
        // Of the tenant's day first, and then of the address.
        for (policy, r) in [
            ("exports-daily", r#""exports-daily";r=0;t="#),
            (
                "requests-per-minute-by-address",
                r#""requests-per-minute-by-address";r=0;t=1;"#,
            ),
        ] {
            let refused = export().await?;
            assert_eq!(refused.status(), 429, "{policy}");
            assert_eq!(field(&refused, "access-control-allow-origin"), PAGES);
            assert_eq!(field(&refused, "access-control-expose-headers"), EXPOSED);
            let left = field(&refused, "ratelimit");
            assert!(left.starts_with(r), "{left}");
            let wait: u64 = field(&refused, "retry-after").parse()?;
            assert!(wait > 0);
            let told = problem(refused).await?;
            assert_eq!(told["violated-policies"], json!([policy]));
            assert_eq!(told["reset"], wait);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_problem_names_limit_plan_value_what_is_left_and_when_it_is_back() -> anyhow::Result<()> {
    on_both(with(quotas), async |world| {
        for _ in 0..5 {
            assert_eq!(status(world.post("/export")).await?, 200);
        }
        let told = problem(world.post("/export").send().await?).await?;
        let reset = told["reset"].as_u64().unwrap_or_default();
        assert!((1..=86_400).contains(&reset), "{told}");
        let said = json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Quota exceeded",
            "status": 429,
            "detail": "Wait before the next request.",
            "meter": "exports",
            "limit": 5,
            "used": 5,
            "remaining": 0,
            "reset": reset,
            "plan": "free",
            "violated-policies": ["exports-daily"],
        });
        assert_eq!(told, said);
        // Another tenant has its own.
        let other = world
            .ask("globex", Method::POST, "/export")
            .bearer_auth(&world.bob);
        assert_eq!(status(other).await?, 200);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_the_service_itself_has_no_more_of_is_temporary_and_tells_no_numbers()
-> anyhow::Result<()> {
    on_both(with(three_of_all), async |world| {
        for _ in 0..3 {
            assert_eq!(status(world.post("/export")).await?, 200);
        }
        let refused = world.post("/export").send().await?;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.headers()["retry-after"], "20");
        let said = json!({
            "type": "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            "title": "Temporary reduced capacity",
            "status": 503,
            "detail": "Try again in a moment.",
            "meter": "exports",
            "plan": "free",
            "violated-policies": ["exports-per-minute-of-all"],
        });
        assert_eq!(problem(refused).await?, said);
        Ok(())
    })
    .await
}
