//! `GET /events`: the tenant's notes as server-sent events.

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use serde_json::json;
use tenancy::axum::Tenant;

use crate::{
    App,
    listener::{Heard, Listener},
};

pub(crate) async fn open(
    tenant: Tenant,
    State(app): State<App>,
) -> Sse<impl Stream<Item = Result<Event, axum::Error>>> {
    // Whoever has the head of the response is already listening.
    let listener = Some(app.listen(&tenant));
    let events = stream::unfold(listener, |listener| async {
        let mut listener: Listener = listener?;
        let heard = listener.next().await;
        let rest = (!matches!(heard, Heard::End(_))).then_some(listener);
        Some((event(&heard), rest))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn event(heard: &Heard) -> Result<Event, axum::Error> {
    match heard {
        Heard::Note(note) => Event::default().event("note").json_data(note),
        Heard::Missed(count) => Event::default()
            .event("missed")
            .json_data(json!({ "count": count })),
        Heard::End(refusal) => Event::default().event("end").json_data(refusal.problem()),
    }
}
