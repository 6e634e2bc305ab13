//! A client that watches one member and writes down what it was sent, and when.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Interval, interval},
};

use super::{
    people::{document, selected, variables},
    record::{Delivery, Watched, event_of},
};
use crate::harness::{Frame, Ws};

/// How soon somebody who may see nothing asks again.
const AGAIN: Duration = Duration::from_millis(50);

pub(super) struct Watcher {
    ws: Ws,
    watched: Watched,
    /// Behind what came last.
    after: String,
    /// The event that came last.
    seen: watch::Sender<Option<usize>>,
    again: Interval,
}

impl Watcher {
    pub(super) fn new(ws: Ws, (person, member): (usize, usize), gateway: usize, after: &str) -> Self {
        let watched = Watched { person, member, gateway, deliveries: Vec::new(), subscribed: Vec::new() };
        Self { ws, watched, after: after.to_owned(), seen: watch::Sender::new(None), again: interval(AGAIN) }
    }

    pub(super) fn seen(&self) -> watch::Receiver<Option<usize>> {
        self.seen.subscribe()
    }

    /// Subscribes, and again whenever that ends, until `stop` says so.
    pub(super) async fn watch(mut self, mut stop: watch::Receiver<bool>) -> Watched {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.go_on() => {}
        }
        self.watched
    }

    async fn go_on(&mut self) {
        let Watched { person, member, .. } = self.watched;
        let document = document(selected(person, member));
        for number in 0.. {
            self.again.tick().await;
            let id = format!("w{number}");
            self.ws.subscribe(&id, &document, variables(member, &self.after)).await;
            self.until_it_ends(&id).await;
        }
    }

    async fn until_it_ends(&mut self, id: &str) {
        let mut served = None;
        loop {
            let frame = self.ws.frame_for(id).await;
            let at = Timestamp::now();
            match frame {
                Frame::Next(payload) => {
                    let subscribed = &mut self.watched.subscribed;
                    served.get_or_insert_with(|| {
                        subscribed.push(None);
                        subscribed.len() - 1
                    });
                    self.note(&payload, at);
                }
                Frame::Error(errors) => {
                    let code = errors[0]["extensions"]["code"].as_str();
                    assert!(matches!(code, Some("PERMISSION_REVOKED" | "NOT_FOUND" | "UNAVAILABLE")), "{errors}");
                    if let Some(place) = served {
                        assert_eq!(code, Some("PERMISSION_REVOKED"), "it was served: {errors}");
                        self.watched.subscribed[place] = Some(at);
                    }
                    return;
                }
                Frame::Complete => panic!("it completes by itself"),
            }
        }
    }

    fn note(&mut self, payload: &Value, at: Timestamp) {
        let check = &payload["data"]["memberEligibility"];
        let id = check["id"].as_str().unwrap_or_else(|| panic!("which check? {payload}"));
        let event = event_of(id).expect("a check of this run");
        let cursor = payload["extensions"]["cursor"].as_str().expect("a cursor").to_owned();
        let value = |[outer, inner]: [&str; 2]| !check[outer][inner].is_null();
        let shown = selected(self.watched.person, self.watched.member).iter().map(|field| value(field.path)).collect();
        self.after.clone_from(&cursor);
        self.watched.deliveries.push(Delivery { event, shown, cursor, at });
        self.seen.send_replace(Some(event));
    }
}
