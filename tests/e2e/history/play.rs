//! A run: gateways, watchers, events all the time, and changes of who may see what meanwhile.

use std::{cell::Cell, sync::Arc, time::Duration};

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};
use sluice::{app::Altered, telemetry::Metrics};
use sluice_schema::{
    ids::TenantId,
    proto::eligibility::{Benefit, Coverage, EligibilityCheck, EligibilityState, Limitation},
    viewer::PurposeOfUse,
};
use sluice_subscriptions::relationships::{Consistency, Relationships};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{interval, timeout},
};

use super::{
    changes::{Changes, Mutation, Planned, at_first},
    checker::{self, Finding},
    people::{FIELDS, MEMBERS, PEOPLE, SELVES, checks},
    record::{self, Answers, Change, Event, History, Records, Span, Through, check_id},
    truth::Truth,
    watcher::Watcher,
};
use crate::{
    harness::Ws,
    installation::{Check, Gateway, Home, another_client, on_real_parts},
};

/// Between one event and the next.
const EVERY: Duration = Duration::from_millis(4);

/// How many events come between one change and the next.
const EVENTS_BETWEEN: std::ops::Range<usize> = 1..20;

const CHANGES: usize = 40;

/// What stands between the gateways and what answers their checks.
pub(super) type Between = fn(Arc<dyn Relationships>) -> Arc<dyn Relationships>;

/// A run that is over.
pub(super) struct Played {
    tenant: TenantId,
    pub(super) history: History,
    end: Timestamp,
}

impl Played {
    /// What is wrong with it, or with another history of the same run.
    pub(super) fn findings(&self, history: &History) -> Vec<Finding> {
        checker::check(&self.tenant, history, self.end)
    }
}

/// `patience`: how long what is on its way is waited for at the end.
pub(super) async fn play(seed: u64, between: Between, patience: Duration) -> Played {
    let home = Home::new().await;
    let stage = Stage::set(&home, between, patience).await;
    let tenant = stage.tenant.clone();
    let (gateways, mut history, end) = stage.run(seed).await;
    for gateway in gateways {
        gateway.close().await;
    }
    history.records = record::records(&home).await;
    Played { tenant, history, end }
}

/// How much there was to look at.
#[derive(Debug)]
pub(super) struct Extent {
    pub(super) events: usize,
    pub(super) deliveries: usize,
    /// Fields that were shown, and that were not.
    pub(super) shown: usize,
    pub(super) held: usize,
    /// Subscriptions that ended because nothing may be seen any more.
    pub(super) ended: usize,
}

impl Extent {
    pub(super) fn of(history: &History) -> Self {
        let deliveries = || history.watched.iter().flat_map(|watched| &watched.deliveries);
        let fields = |wanted| deliveries().flat_map(|one| &one.shown).filter(|shown| **shown == wanted).count();
        let ended = history.watched.iter().flat_map(|watched| &watched.subscribed).flatten().count();
        let (shown, held) = (fields(true), fields(false));
        Self { events: history.events.len(), deliveries: deliveries().count(), shown, held, ended }
    }
}

/// Who writes relationships past the gateways.
struct Others {
    relationships: Arc<dyn Relationships>,
    through: Through,
}

struct Stage {
    tenant: TenantId,
    gateways: Vec<Gateway>,
    others: Others,
    /// A place before the first event.
    start: String,
    first: Change,
    patience: Duration,
}

impl Stage {
    async fn set(home: &Home, between: Between, patience: Duration) -> Self {
        let mut gateways = Vec::new();
        for node in ["a", "b"].into_iter().take(if on_real_parts() { 2 } else { 1 }) {
            let altered = Altered { relationships: between, ..Altered::default() };
            gateways.push(Gateway::open(home, node, Metrics::detached(), altered).await);
        }
        let tenant = gateways[0].tenant.clone();
        let others = match on_real_parts() {
            true => Others { relationships: Arc::new(another_client().await), through: Through::Others },
            // There are none: the file is the one gateway's own.
            false => Others { relationships: gateways[0].ports.relationships.clone(), through: Through::Gateway(0) },
        };
        let updates = at_first(&tenant);
        let sent = Timestamp::now();
        others.relationships.write(updates.clone()).await.unwrap();
        let at = Span { sent, answered: Timestamp::now() };
        let first = Change { updates, through: others.through, at };
        let token = gateways[0].token(SELVES[0], PurposeOfUse::PatientRequest);
        let path = format!("/events?channel=/members/{}/**&wait=0", MEMBERS[0]);
        let polled: Value = serde_json::from_str(&gateways[0].get(&token, &path).await).unwrap();
        let start = polled["cursor"].as_str().unwrap_or_else(|| panic!("no cursor: {polled}")).to_owned();
        Self { tenant, gateways, others, start, first, patience }
    }

    async fn run(self, seed: u64) -> (Vec<Gateway>, History, Timestamp) {
        let (stop, stopped) = watch::channel(false);
        let mut watching = JoinSet::new();
        let mut seen = Vec::new();
        for (person, member) in pairs() {
            let gateway = person % self.gateways.len();
            let token = self.gateways[gateway].token(PEOPLE[person].user, PEOPLE[person].purpose);
            let ws = Ws::open(&self.gateways[gateway].subscriptions_url(), &token).await;
            let watcher = Watcher::new(ws, (person, member), gateway, &self.start);
            seen.push(watcher.seen());
            watching.spawn(watcher.watch(stopped.clone()));
        }
        let publisher = Publisher::new(&self.gateways[0], seed);
        let (over, published) = (Cell::new(false), publisher.count.subscribe());
        let change = async {
            let changed = self.change(seed, published).await;
            over.set(true);
            changed
        };
        let ((changes, answers), mut publisher) = tokio::join!(change, publisher.until(&over));
        for member in 0..MEMBERS.len() {
            publisher.publish(member).await;
        }
        self.until_seen(&changes, &publisher.events, &seen).await;
        let end = Timestamp::now();
        stop.send_replace(true);
        let mut watched = watching.join_all().await;
        watched.sort_by_key(|watched| (watched.person, watched.member));
        let history = History { changes, answers, events: publisher.events, watched, records: Records::new() };
        (self.gateways, history, end)
    }

    /// Makes the changes one after another, with events between them, and asks after each what is true of somebody now.
    async fn change(&self, seed: u64, mut published: watch::Receiver<usize>) -> (Vec<Change>, Vec<Answers>) {
        let mut random = Rng::with_seed(seed);
        let mut planned = Changes::new(&self.tenant, random.u64(..));
        let (mut changes, mut answers) = (vec![self.first.clone()], Vec::new());
        for _ in 0..CHANGES {
            let Planned { update, mutation } = planned.next();
            let gateway = random.usize(..self.gateways.len());
            let through = if mutation.is_some() { Through::Gateway(gateway) } else { self.others.through };
            let sent = Timestamp::now();
            match mutation {
                Some(mutation) => mutate(&self.gateways[gateway], mutation).await,
                None => drop(self.others.relationships.write(vec![update.clone()]).await.unwrap()),
            }
            let at = Span { sent, answered: Timestamp::now() };
            changes.push(Change { updates: vec![update], through, at });
            answers.push(self.ask(through, random.usize(..PEOPLE.len())).await);
            let enough = *published.borrow() + random.usize(EVENTS_BETWEEN);
            published.wait_for(|count| *count >= enough).await.expect("it goes on being published");
        }
        (changes, answers)
    }

    /// What somebody may see of both, by everything that was written. Whoever wrote last is asked.
    async fn ask(&self, through: Through, person: usize) -> Answers {
        let relationships = match through {
            Through::Gateway(gateway) => &self.gateways[gateway].ports.relationships,
            Through::Others => &self.others.relationships,
        };
        let of = |member| checks(&self.tenant, &PEOPLE[person], member);
        let checks: Vec<_> = (0..MEMBERS.len()).flat_map(of).collect();
        let sent = Timestamp::now();
        let allowed = relationships.check_many(Consistency::Full, &checks).await.unwrap().allowed;
        Answers { checks, allowed, at: Span { sent, answered: Timestamp::now() } }
    }

    /// Until everybody who certainly may see the last events has seen them: all that was on its way has come. If that is not so
    /// in good time, the checker says what did not come.
    async fn until_seen(&self, changes: &[Change], events: &[Event], seen: &[watch::Receiver<Option<usize>>]) {
        let last = |member| events.iter().rposition(|event| event.member == member).expect("published above");
        let is_there = |((person, member), seen): ((usize, usize), &watch::Receiver<Option<usize>>)| {
            if *seen.borrow() >= Some(last(member)) {
                return true;
            }
            let now = Timestamp::now();
            let sight =
                Truth::of(&self.tenant, changes, now).sight(person, member, person % self.gateways.len(), false);
            sight.may_not_see(FIELDS[0].label(), events[last(member)].at.sent, now)
        };
        let mut look = interval(Duration::from_millis(20));
        let all = async {
            while !pairs().zip(seen).all(is_there) {
                look.tick().await;
            }
        };
        drop(timeout(self.patience, all).await);
    }
}

async fn mutate(gateway: &Gateway, Mutation { user, purpose, query, input }: Mutation) {
    let answer = gateway.graphql(&gateway.token(user, purpose), query, json!({ "input": input })).await;
    assert!(answer["data"]["done"].is_object(), "{query} of {input}: {answer}");
}

/// Everybody with each member.
fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..PEOPLE.len()).flat_map(|person| (0..MEMBERS.len()).map(move |member| (person, member)))
}

/// Publishes an event at a time, of either member.
struct Publisher<'g> {
    gateway: &'g Gateway,
    random: Rng,
    events: Vec<Event>,
    count: watch::Sender<usize>,
}

impl<'g> Publisher<'g> {
    fn new(gateway: &'g Gateway, seed: u64) -> Self {
        Self { gateway, random: Rng::with_seed(!seed), events: Vec::new(), count: watch::Sender::new(0) }
    }

    async fn until(mut self, over: &Cell<bool>) -> Self {
        let mut ticks = interval(EVERY);
        while !over.get() {
            ticks.tick().await;
            let member = self.random.usize(..MEMBERS.len());
            self.publish(member).await;
        }
        self
    }

    async fn publish(&mut self, member: usize) {
        let id = check_id(self.events.len());
        let sent = Timestamp::now();
        let mut check = Check::new(&self.gateway.tenant, MEMBERS[member], &id);
        check.publish(&self.gateway.ports, vec![answered()]).await;
        self.events.push(Event { member, at: Span { sent, answered: Timestamp::now() } });
        self.count.send_replace(self.events.len());
    }
}

/// Something in each of [`FIELDS`].
fn answered() -> EligibilityCheck {
    let benefit = || vec![Benefit { name: Some("Active Coverage".into()), ..Benefit::default() }];
    let coverage = Coverage {
        plan_name: Some("Harbor PPO 1500".into()),
        plan_number: Some("HP-1500".into()),
        group_name: Some("Kestrel Boatworks".into()),
        limitations: vec![Limitation { text: Some("20 visits a year.".into()), ..Limitation::default() }],
        behavioral_health_benefits: benefit(),
        hiv_benefits: benefit(),
        substance_use_benefits: benefit(),
        ..Coverage::default()
    };
    let state = EligibilityState::Answered.into();
    EligibilityCheck { state, coverage: Some(coverage), ..EligibilityCheck::default() }
}
