//! What people do with the service, over real HTTP and on real PostgreSQL: one specification for both programs. Their
//! tests include this file, and run each case by the macro `specify!`.

mod browser;
mod cases;
mod world;

pub(crate) use browser::a_person_finds_the_way_in_a_browser;
pub(crate) use cases::*;
pub(crate) use world::{Visitor, World};

/// Makes a test of each case: `specify!("CARGO_BIN_EXE_pages-axum")`.
macro_rules! specify {
    ($program:literal) => {
        $crate::scenarios::specify! { @ $program
            who_has_not_signed_in_is_sent_to_the_form_and_comes_back
            an_organization_has_its_own_notes_and_no_others
            the_switcher_has_the_organizations_of_the_account_and_no_others
            a_stranger_is_a_visitor_of_the_public_page
            an_invitation_lets_one_person_join_once
            an_invitation_is_for_whoever_has_shown_its_address
            another_link_replaces_the_one_before
            an_invitation_that_was_taken_back_admits_nobody
            nobody_invites_to_more_than_they_may_give
            what_was_invited_is_seen_by_those_who_may_invite
            an_address_is_confirmed_by_its_account_alone
            an_event_that_comes_twice_is_one_mail
            forms_of_other_sites_change_nothing
            what_is_wrong_with_a_form_is_said_on_its_page
            passwords_tokens_and_sessions_are_not_stored
            who_signs_out_is_a_visitor_again
            a_session_that_was_taken_back_joins_nothing
            a_session_that_was_taken_back_shows_nobody
            installing_again_changes_nothing
            a_person_finds_the_way_in_a_browser
        }
    };
    (@ $program:literal $($case:ident)*) => {
        $(#[tokio::test] async fn $case() -> anyhow::Result<()> {
            let world = $crate::scenarios::World::start(env!($program)).await?;
            $crate::scenarios::$case(&world).await?;
            world.close().await
        })*
    };
}
pub(crate) use specify;
