//! Many requests at once, and changes that happen meanwhile.

use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn many_requests_wait_for_one_question() {
    let table = Table::with_issuer();
    let process = Process::over(&table);
    table.0.open.send_replace(false);
    let token = good();
    let asking = (0..50).map(|_| process.says(&token));
    let mut asking = Box::pin(join_all(asking));
    assert!(futures_util::poll!(&mut asking).is_pending());
    table.0.open.send_replace(true);
    let answers = asking.await;
    assert!(answers.iter().all(|answer| *answer == "accepted"));
    assert_eq!((table.asked(), table.built()), (1, 1));
}

#[tokio::test]
async fn invented_names_are_remembered_and_asked_about_a_few_at_a_time() {
    let table = Table::with_issuer();
    let mut process = Process::over(&table);
    assert_eq!(process.says(&good()).await, "accepted");
    let invented = of("https://invented.example");
    for _ in 0..10 {
        assert_eq!(process.says(&invented).await, "not-mine");
    }
    assert_eq!(table.asked(), 2);

    table.0.open.send_replace(false);
    let flood: Vec<_> = (0..100)
        .map(|number| of(&format!("https://{number}.example")))
        .collect();
    let asking = flood.iter().map(|token| process.says(token));
    let mut asking = Box::pin(join_all(asking));
    assert!(futures_util::poll!(&mut asking).is_pending());
    assert_eq!(table.asked(), 2 + 8);
    // Meanwhile an issuer that is held is decided about, and asked about when it is old.
    assert_eq!(process.says(&good()).await, "accepted");
    table.0.open.send_replace(true);
    let answers = asking.await;
    let count = |wanted| answers.iter().filter(|said| **said == wanted).count();
    assert_eq!((count("not-mine"), count("unavailable")), (8, 92));

    process.after(30 * SECOND);
    table.0.open.send_replace(false);
    let mut asking = Box::pin(join_all(flood.iter().map(|token| process.says(token))));
    assert!(futures_util::poll!(&mut asking).is_pending());
    let (asked, token) = (table.asked(), good());
    let mut renewed = Box::pin(process.says(&token));
    assert!(futures_util::poll!(&mut renewed).is_pending());
    assert_eq!(table.asked(), asked + 1);
    table.0.open.send_replace(true);
    assert_eq!(renewed.await, "accepted");
}

#[tokio::test]
async fn an_answer_from_before_a_change_is_not_kept_after_it() {
    let table = Table::with_issuer();
    let process = Process::over(&table);
    table.0.open.send_replace(false);
    let token = good();
    let mut before = Box::pin(process.says(&token));
    assert!(futures_util::poll!(&mut before).is_pending());
    process.issuers.forget();
    table.0.open.send_replace(true);
    before.await;
    let asked = table.asked();
    assert_eq!(process.says(&token).await, "accepted");
    assert_eq!(table.asked(), asked + 1);
}

/// Otherwise eight of them would keep every issuer out that is not known yet.
#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up_and_makes_room() {
    let table = Table::with_issuer();
    let process = Process::over(&table);
    table.0.open.send_replace(false);
    let flood: Vec<_> = (0..8)
        .map(|number| of(&format!("https://{number}.example")))
        .collect();
    let asking = join_all(flood.iter().map(|token| process.says(token)));
    let given_up = tokio::time::timeout(60 * SECOND, asking).await.unwrap();
    assert!(given_up.iter().all(|said| *said == "unavailable"));
    table.0.open.send_replace(true);
    assert_eq!(process.says(&good()).await, "accepted");
}
