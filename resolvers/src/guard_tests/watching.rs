//! One viewer's subscription, and all that she is to have got of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::{Map, Value};
use sluice_schema::{
    channel::{Channel, ChannelPattern},
    error::{ClientError, Code},
    event::RecordedEvent,
    ids::MemberId,
    position::ReadVector,
    viewer::Viewer,
};
use sluice_subscriptions::{
    deliver::{Gone, Subscriber},
    engine::{Handle, Start, Subscribe},
    render::{JsonProjection, Projection},
};

use super::{
    documents::{Document, FLAGS},
    world::{CHECKS, World},
};
use crate::{
    RawRequest,
    operation::{Limits, Operation},
    projection::GraphqlProjection,
    roots::builder,
    scope::sees_check,
};

/// What is watched.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Channel(&'static str),
    Member(&'static str),
    /// A place in [`CHECKS`].
    Check(usize),
}

#[derive(Default)]
pub(super) struct Probe {
    got: Mutex<Vec<Bytes>>,
    ended: Mutex<Option<Option<ClientError>>>,
}

impl Subscriber for Probe {
    fn next(&self, payload: &Bytes, _place: &ReadVector) -> Result<(), Gone> {
        lock(&self.got).push(payload.clone());
        Ok(())
    }

    fn end(&self, error: Option<ClientError>) {
        *lock(&self.ended) = Some(error);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Watching {
    pub(super) viewer: Viewer,
    pub(super) is_json: bool,
    target: Target,
    query: String,
    handle: Handle,
    probe: Arc<Probe>,
    /// This viewer's own.
    projection: Arc<dyn Projection>,
    /// Of what was got, how much was looked at.
    seen: usize,
    over: bool,
}

/// A document with values for its variables.
pub(super) fn request(document: &Document, target: &Target, values: [Option<bool>; 2]) -> RawRequest {
    let mut variables = Map::new();
    if document.at_variable {
        variables.insert("at".into(), target.at().into());
    }
    for flag in &document.flags {
        variables.extend(values[*flag].map(|value| (FLAGS[*flag].to_owned(), Value::Bool(value))));
    }
    RawRequest { query: document.query.clone(), variables, ..RawRequest::default() }
}

impl Target {
    pub(super) fn at(&self) -> &'static str {
        match self {
            Self::Channel(pattern) => pattern,
            Self::Member(member) => member,
            Self::Check(number) => CHECKS[*number].0,
        }
    }

    pub(super) fn member(&self) -> Option<MemberId> {
        let member = match self {
            Self::Channel(_) => return None,
            Self::Member(member) => member,
            Self::Check(number) => CHECKS[*number].1,
        };
        member.parse().ok()
    }

    fn wants(&self, channel: &str) -> bool {
        let pattern: ChannelPattern = match self {
            Self::Channel(pattern) => pattern.parse().expect("a pattern"),
            Self::Member(member) => ChannelPattern::member_eligibility(&member.parse().expect("an id")),
            Self::Check(number) => {
                let (check, member) = CHECKS[*number];
                Channel::eligibility_check(&member.parse().expect("an id"), &check.parse().expect("an id")).into()
            }
        };
        pattern.matches(&channel.parse().expect("a channel"))
    }
}

/// Valid by GraphQL, with what renders it for one alone; `None` where it is not.
pub(super) async fn alone(raw: &RawRequest) -> Option<Arc<dyn Projection>> {
    let operation = Operation::parse(raw.clone(), &Limits::default()).ok()?;
    let (projection, _) = GraphqlProjection::validate(builder().finish(), operation).await.ok()?;
    Some(Arc::new(projection))
}

impl Watching {
    pub(super) async fn json(world: &World, viewer: Viewer) -> Self {
        let (probe, projection): (_, Arc<dyn Projection>) = (Arc::<Probe>::default(), Arc::new(JsonProjection));
        let subscribe = Subscribe {
            viewer: Arc::new(viewer.clone()),
            pattern: "/**".parse().expect("a pattern"),
            projection: projection.clone(),
            start: Start::Live,
            subscriber: probe.clone(),
            transport: "long-poll",
            root: None,
        };
        let handle = world.engine.subscribe(subscribe).await.expect("begins");
        let target = Target::Channel("/**");
        Self { viewer, is_json: true, target, query: String::new(), handle, probe, projection, seen: 0, over: false }
    }

    /// `None` where it was refused, as it then has to be.
    pub(super) async fn graphql(world: &World, viewer: Viewer, target: Target, raw: RawRequest) -> Option<Self> {
        let projection = alone(&raw).await?;
        let (probe, query) = (Arc::<Probe>::default(), format!("{} {:?}", raw.query, raw.variables));
        let state = state(world, &viewer, &target).await;
        let operation = world.graph.parse(raw).expect("was parsed before");
        let begun = world.graph.subscribe(Arc::new(viewer.clone()), operation, "ws", probe.clone(), None).await;
        let (state, handle) = match (state, begun) {
            (Err(Refused), Err(errors)) => {
                assert_eq!(errors[0]["extensions"]["code"], Code::NotFound.as_str(), "{query}");
                return None;
            }
            (Ok(state), Ok(handle)) => (state, handle),
            (_, begun) => panic!("begun: {:?}, which it should not: {query} for {viewer:?}", begun.err()),
        };
        let mut watching =
            Self { viewer, is_json: false, target, query, handle, probe, projection, seen: 0, over: false };
        // Its place is behind its state from the first: what tells that the state was handed over is the state.
        let wanted = usize::from(state.is_some());
        world.until(&watching.query, || lock(&watching.probe.got).len() >= wanted).await;
        watching.check(world, &state.map(|state| (state, world.heads())).into_iter().collect::<Vec<_>>()).await;
        Some(watching)
    }

    /// All that the log has was handed over.
    pub(super) async fn settled(&self, world: &World) {
        let heads = world.heads();
        world
            .until(&self.query, || self.handle.place().vector.covers(&heads) || lock(&self.probe.ended).is_some())
            .await;
    }

    /// Of these events, with the vectors of their cursors, it got those that it was to get, byte by byte. Gives how many.
    pub(super) async fn check(&mut self, world: &World, events: &[(Arc<RecordedEvent>, ReadVector)]) -> usize {
        let got = lock(&self.probe.got)[self.seen..].to_vec();
        self.seen += got.len();
        let mut got = got.iter();
        let mut count = 0;
        for (event, at) in events.iter().filter(|(event, _)| !self.over && self.target.wants(&event.header.channel)) {
            let by = (self.projection.as_ref(), self.target.member().is_some());
            let fresh = world.fresh(&self.viewer, by, event, at.clone()).await;
            let Some(fresh) = fresh else { continue };
            let context = || format!("{} for {:?}", self.query, self.viewer);
            let got = got.next().unwrap_or_else(|| panic!("{} is missing: {}", event.header.event_id, context()));
            assert_eq!(got, &fresh.bytes, "{}", context());
            let text = String::from_utf8_lossy(got);
            for fact in &world.facts[&event.header.event_id] {
                let open = fact.is_open_to(fresh.mask);
                assert!(open || !fact.is_in(&text), "{fact:?} is not for {:?}, in {text}: {}", fresh.mask, context());
                assert!(!open || !self.is_json || fact.is_in(&text), "{fact:?} is missing in {text}");
            }
            count += 1;
        }
        assert_eq!(got.next(), None, "was not for {:?}: {}", self.viewer, self.query);
        assert_eq!(lock(&self.probe.ended).is_some(), self.over, "{}", self.query);
        count
    }

    /// After a change of relationships: it ends where what it is for is not the viewer's any more, and only there.
    pub(super) async fn heed(&mut self, world: &World) {
        let Some(member) = self.target.member().filter(|_| !self.over) else { return };
        if !sees_check(world.mask(&self.viewer, Some(&member)).await) {
            self.over = true;
            world.until("the end of what was revoked", || lock(&self.probe.ended).is_some()).await;
            let error = lock(&self.probe.ended).clone().flatten().expect("says why");
            assert_eq!(error.code, Code::PermissionRevoked);
        }
    }
}

struct Refused;

/// What a subscription begins with, where it may begin.
async fn state(world: &World, viewer: &Viewer, target: &Target) -> Result<Option<Arc<RecordedEvent>>, Refused> {
    let Some(member) = target.member() else { return Ok(None) };
    let (reader, tenant) = (&world.services.reader, &viewer.tenant);
    let state = match target {
        Target::Check(number) => {
            let id = CHECKS[*number].0.parse().expect("an id");
            let current = reader.current(tenant, &[id]).await.expect("reads").pop().flatten();
            Some(current.ok_or(Refused)?)
        }
        _ => {
            let page = sluice_domain::store::Page { after: None, limit: 1 };
            reader.list(tenant, &member, &page).await.expect("reads").into_iter().next()
        }
    };
    if sees_check(world.mask(viewer, Some(&member)).await) { Ok(state.map(|state| state.event)) } else { Err(Refused) }
}
