//! `GET /socket`: a websocket that takes notes and tells of the tenant's.
//!
//! Each frame is text: `{"title", "body"}` from the client; `{"event", "data"}` to it, with the
//! events of `GET /events` and `refused`, whose data is a problem.

use std::time::Duration;

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    response::Response,
};
use serde_json::{Value, json};
use tenancy::{
    Refusal, RefusalKind,
    axum::{Error, TenantDb},
};
use tokio::time::timeout;

use crate::{
    App,
    listener::{Heard, Listener},
    notes::{self, NewNote},
};

/// The longest message that is read, in bytes.
const LONGEST: usize = 16 * 1024;

/// How long a client may take to receive a frame, and to answer the closing one.
///
/// While a frame waits, nobody looks at the watch: a client that stops reading must not hold its
/// socket open past its context.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn open(
    db: TenantDb,
    State(app): State<App>,
    upgrade: WebSocketUpgrade,
) -> Response {
    // The layer's extensions end with the request; the context goes on in the listener.
    let listener = app.listen(db.context());
    upgrade
        .max_message_size(LONGEST)
        .on_upgrade(move |socket| Conversation::new(socket, listener, app).hold())
}

struct Conversation {
    socket: WebSocket,
    listener: Listener,
    app: App,
}

/// Why a conversation is over.
enum Over {
    /// The client has left, or does not read.
    Gone,
    Refused(Refusal),
}

type Step = Result<(), Over>;

impl Conversation {
    fn new(socket: WebSocket, listener: Listener, app: App) -> Self {
        Self {
            socket,
            listener,
            app,
        }
    }

    async fn hold(mut self) {
        let over = loop {
            let step = tokio::select! {
                // The watch is heard first: a client that never stops sending must not outlive it.
                biased;
                heard = self.listener.next() => self.tell(heard).await,
                message = self.socket.recv() => match message {
                    Some(Ok(message)) => self.take(message).await,
                    Some(Err(_)) | None => Err(Over::Gone),
                },
            };
            if let Err(over) = step {
                break over;
            }
        };
        if let Over::Refused(refusal) = over {
            self.close(&refusal).await;
        }
    }

    async fn tell(&mut self, heard: Heard) -> Step {
        match heard {
            Heard::Note(note) => self.send("note", json!(note)).await,
            Heard::Missed(count) => self.send("missed", json!({ "count": count })).await,
            Heard::End(refusal) => Err(Over::Refused(refusal)),
        }
    }

    async fn take(&mut self, message: Message) -> Step {
        let Message::Text(text) = message else {
            // Pings are answered by the library; nothing else is said here.
            return Ok(());
        };
        let Ok(new) = serde_json::from_str::<NewNote>(&text) else {
            let problem = json!({ "type": "about:blank", "title": "Not a note", "status": 400 });
            return self.send("refused", problem).await;
        };
        match self.write(new).await? {
            // The note itself comes back as it goes to everybody.
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "a message was refused");
                let problem = error.refusal().problem();
                self.send("refused", json!(problem)).await
            }
        }
    }

    /// Writes a note, as a request would: decided about now, and with a connection for this
    /// statement only.
    async fn write(&mut self, new: NewNote) -> Result<Result<(), Error>, Over> {
        let held = self.listener.context();
        // While this waits, nobody looks at the watch.
        let decided = timeout(PATIENCE, held.tenancy().revalidate(held)).await;
        let decided = decided.unwrap_or_else(|_| {
            let reason = "directory-unavailable";
            Err(Refusal::new(RefusalKind::Unavailable, reason))
        });
        let context = match decided {
            Ok(context) => context,
            // A request would be answered 503, and so is this message; the watch knows for how
            // long the socket may go on.
            Err(refusal) if refusal.kind() == RefusalKind::Unavailable => {
                return Ok(Err(refusal.into()));
            }
            Err(refusal) => return Err(Over::Refused(refusal)),
        };
        Ok(async {
            context.require("notes:write")?;
            let db = self.app.pool.tenant(&context)?;
            notes::write(&self.app, &db, new).await?;
            Ok(())
        }
        .await)
    }

    async fn send(&mut self, event: &str, data: Value) -> Step {
        let frame = json!({ "event": event, "data": data }).to_string();
        self.send_frame(Message::text(frame)).await
    }

    async fn send_frame(&mut self, frame: Message) -> Step {
        match timeout(PATIENCE, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Over::Gone),
        }
    }

    /// Says goodbye in public words: the problem's type.
    async fn close(mut self, refusal: &Refusal) {
        let code = match refusal.kind() {
            RefusalKind::Unavailable => close_code::AGAIN,
            _ => close_code::POLICY,
        };
        let reason = refusal.problem().type_uri().into();
        let farewell = Message::Close(Some(CloseFrame { code, reason }));
        if self.send_frame(farewell).await.is_ok() {
            // A connection that is dropped with messages unread may lose the farewell.
            let drain = async { while let Some(Ok(_)) = self.socket.recv().await {} };
            let _ = timeout(PATIENCE, drain).await;
        }
    }
}
