//! What async-graphql's own book leads to: its axum service, and one tokio broadcast channel that every subscription filters.
//! Nobody is asked who may see what.

use std::net::SocketAddr;

use async_graphql::{EmptyMutation, Object, Schema, SimpleObject, Subscription, Union};
use async_graphql_axum::GraphQLSubscription;
use axum::Router;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    sync::broadcast::{self, error::RecvError},
};

use crate::{
    role::Peer,
    sample::{self, Event},
};

/// How many events a subscription may be behind before it misses some.
pub(crate) const CAPACITY: usize = 4096;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Channel(String);
async_graphql::scalar!(Channel);

#[derive(Clone, SimpleObject)]
pub(crate) struct CostShare {
    amount: &'static str,
    remaining: &'static str,
}

#[derive(Clone, SimpleObject)]
pub(crate) struct Coverage {
    active: bool,
    plan_name: &'static str,
    deductibles: Vec<CostShare>,
}

#[derive(Clone, SimpleObject)]
pub(crate) struct EligibilityCheck {
    id: String,
    member_id: String,
    state: &'static str,
    payer_id: &'static str,
    completed_at: &'static str,
    coverage: Coverage,
}

#[derive(Clone, SimpleObject)]
pub(crate) struct EligibilityCheckChanged {
    after: EligibilityCheck,
}

#[derive(Clone, Union)]
pub(crate) enum EventPayload {
    Changed(EligibilityCheckChanged),
}

#[derive(Clone, SimpleObject)]
#[graphql(name = "Event")]
pub(crate) struct Told {
    channel: String,
    payload: EventPayload,
}

pub(crate) struct Query;

#[Object]
impl Query {
    async fn nothing(&self) -> bool {
        true
    }
}

pub(crate) struct Watch(broadcast::Sender<Told>);

#[Subscription]
impl Watch {
    async fn events(&self, channel: Channel) -> impl Stream<Item = Told> {
        stream::unfold((self.0.subscribe(), channel.0), |(mut events, channel)| async move {
            loop {
                match events.recv().await {
                    Ok(told) if told.channel == channel => return Some((told, (events, channel))),
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        })
    }
}

pub(crate) struct Naive {
    events: broadcast::Sender<Told>,
    _runtime: tokio::runtime::Runtime,
}

impl Naive {
    pub(crate) fn start() -> Result<(SocketAddr, Self), String> {
        let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let events = broadcast::Sender::new(CAPACITY);
        let schema = Schema::new(Query, EmptyMutation, Watch(events.clone()));
        let router = Router::new().route_service("/graphql", GraphQLSubscription::new(schema));
        let listener = axum::serve::ListenerExt::tap_io(listener, |socket| drop(socket.set_nodelay(true)));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok((address, Self { events, _runtime: runtime }))
    }
}

impl Peer for Naive {
    fn publish(&mut self, events: &[Event]) -> Result<(), String> {
        for event in events {
            // An error means that nobody listens.
            let _ = self.events.send(told(event));
        }
        Ok(())
    }
}

fn told(event: &Event) -> Told {
    let [amount, remaining] = sample::DEDUCTIBLE;
    let coverage =
        Coverage { active: true, plan_name: sample::PLAN, deductibles: vec![CostShare { amount, remaining }] };
    let after = EligibilityCheck {
        id: sample::check_id(event),
        member_id: sample::member(event.channel),
        state: "ANSWERED",
        payer_id: sample::PAYER,
        completed_at: sample::COMPLETED,
        coverage,
    };
    Told { channel: sample::pattern(event.channel), payload: EventPayload::Changed(EligibilityCheckChanged { after }) }
}
