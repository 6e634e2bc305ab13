//! Events by repeated GET, for clients that can do nothing else: `/events?channel=…&after=…&wait=SECONDS`.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use jiff::Timestamp;
use sluice_schema::{
    channel::ChannelPattern,
    error::{ClientError, Code},
    position::Cursor,
    viewer::Viewer,
};

use super::{
    Polled,
    admitted::Admitted,
    bearer,
    router::Context,
    status::{Refused, respond},
    unread,
    viewers::Held,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    channel: Option<String>,
    after: Option<String>,
    wait: Option<String>,
}

/// Answers `{"events":[…],"cursor":"…"}` as soon as there is an event behind `after`, or when the wait is over. A client
/// that goes away ends the wait: the server drops this future.
pub(super) async fn get(
    State(context): State<Arc<Context>>,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    match poll(&context, &headers, parameters).await {
        Ok((polled, held)) => {
            respond(StatusCode::OK, "application/json; charset=utf-8", unread::body(body(&polled), held))
        }
        Err(refused) => refused.respond("application/json; charset=utf-8"),
    }
}

async fn poll(
    context: &Context,
    headers: &HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<(Polled, Held), Refused> {
    let viewer = Arc::new(bearer::authenticate(&*context.gate, headers).await?);
    let held = context.viewers.start(&viewer)?;
    let Query(parameters) = parameters.map_err(|_| {
        ClientError::new(Code::BadRequest, "The parameters are `channel`, `after` and `wait`, each at most once.")
    })?;
    let pattern = channel(parameters.channel.as_deref())?;
    let after = parameters.after.as_deref().map(cursor).transpose()?;
    let wait = wait(parameters.wait.as_deref(), context)?.min(left(&viewer));
    let admitted = Admitted::by(&*context.gate, &viewer)?;
    tokio::select! {
        biased;
        () = context.drain.cancelled() => Err(ClientError::unavailable().into()),
        polled = admitted.unless_revoked(context.gate.poll(&viewer, pattern, after, wait)) => Ok((polled??, held)),
    }
}

fn channel(text: Option<&str>) -> Result<ChannelPattern, ClientError> {
    let text = text.ok_or_else(|| ClientError::new(Code::InvalidChannel, "`channel` is missing.").at("channel"))?;
    text.parse().map_err(|error| ClientError::new(Code::InvalidChannel, format!("{error}")).at("channel"))
}

fn cursor(text: &str) -> Result<Cursor, ClientError> {
    let malformed = "`after` is no cursor: pass the last `cursor` unchanged, or leave it out.";
    text.parse().map_err(|_| ClientError::new(Code::MalformedCursor, malformed).at("after"))
}

fn wait(text: Option<&str>, context: &Context) -> Result<Duration, ClientError> {
    let Some(text) = text else { return Ok(context.config.poll_wait) };
    let max = context.config.max_poll_wait;
    text.parse().ok().map(Duration::from_secs).filter(|wait| *wait <= max).ok_or_else(|| {
        let wanted = format!("`wait` is a whole number of seconds, {} at most.", max.as_secs());
        ClientError::new(Code::BadRequest, wanted).at("wait")
    })
}

/// No wait outlives the token.
fn left(viewer: &Viewer) -> Duration {
    Duration::try_from(viewer.expires.at().duration_since(Timestamp::now())).unwrap_or_default()
}

/// The events are JSON already, and go in as they are.
fn body(polled: &Polled) -> Vec<u8> {
    let events = polled.events.join(&b","[..]);
    let tail = format!("],\"cursor\":\"{}\"}}", polled.cursor);
    [b"{\"events\":[", events.as_slice(), tail.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use sluice_schema::position::{Epoch, ReadVector};

    use super::*;

    #[test]
    fn the_body_is_json_around_the_events() {
        let cursor = Cursor { epoch: Epoch(1), vector: ReadVector(vec![3]) };
        for count in 0..3 {
            let events = vec![bytes::Bytes::from_static(br#"{"a":1}"#); count];
            let body = body(&Polled { events, cursor: cursor.clone() });
            let json: serde_json::Value = serde_json::from_slice(&body).expect("is JSON");
            assert_eq!(json["events"].as_array().expect("an array").len(), count);
            assert_eq!(json["cursor"], cursor.to_string());
        }
    }
}
