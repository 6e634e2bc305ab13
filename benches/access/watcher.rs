//! One who watches the member, and notes when what came.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use serde_json::json;
use sluice_schema::viewer::PurposeOfUse;
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::house::{House, MEMBER};

/// Longer than any bound.
const PATIENCE: Duration = Duration::from_secs(20);

/// An instant on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) instant: Instant,
    pub(crate) clock: Timestamp,
}

impl At {
    pub(crate) fn now() -> Self {
        Self { instant: Instant::now(), clock: Timestamp::now() }
    }
}

/// How a stream went.
pub(crate) struct Ended {
    pub(crate) last_event: At,
    pub(crate) error: At,
}

pub(crate) struct Watcher {
    pub(crate) user: String,
    seen: watch::Receiver<usize>,
    task: JoinHandle<Result<Ended, String>>,
}

impl Watcher {
    pub(crate) async fn begin(house: &House, user: String) -> Result<Self, String> {
        let token = house.gateway.token(&user, PurposeOfUse::PatientRequest);
        let mut request = house.gateway.subscriptions_url().into_client_request().map_err(|error| error.to_string())?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("graphql-transport-ws"));
        let (mut socket, _) = connect_async(request).await.map_err(|error| error.to_string())?;
        let query =
            format!("subscription {{ memberEligibility(memberId: \"{MEMBER}\") {{ state coverage {{ planName }} }} }}");
        for message in [
            json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } }),
            json!({ "type": "subscribe", "id": "1", "payload": { "query": query } }),
        ] {
            let ready = message["type"] == "connection_init";
            socket.send(Message::text(message.to_string())).await.map_err(|error| error.to_string())?;
            if ready {
                // The acknowledgement.
                let _ = socket.next().await;
            }
        }
        let (told, seen) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut last_event = At::now();
            loop {
                let message = timeout(PATIENCE, socket.next()).await.map_err(|_| "nothing comes any more")?;
                let text = match message {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(_)) => continue,
                    other => return Err(format!("the socket ended: {other:?}")),
                };
                // Read as text: parsing would be measured too.
                if text.contains("\"type\":\"next\"") {
                    last_event = At::now();
                    told.send_modify(|seen| *seen += 1);
                } else if text.contains("PERMISSION_REVOKED") {
                    return Ok(Ended { last_event, error: At::now() });
                } else if text.contains("\"type\":\"error\"") {
                    return Err(text.to_string());
                } else if text.contains("\"type\":\"ping\"") {
                    socket.send(Message::text(r#"{"type":"pong"}"#)).await.map_err(|error| error.to_string())?;
                }
            }
        });
        Ok(Self { user, seen, task })
    }

    /// Until live events come.
    pub(crate) async fn is_served(&mut self) -> Result<(), String> {
        timeout(PATIENCE, self.seen.wait_for(|seen| *seen >= 5))
            .await
            .map_err(|_| "it is not served")?
            .map_err(|_| "it ended")?;
        Ok(())
    }

    pub(crate) async fn ended(self) -> Result<Ended, String> {
        timeout(PATIENCE, self.task).await.map_err(|_| "it does not end")?.map_err(|error| error.to_string())?
    }
}
