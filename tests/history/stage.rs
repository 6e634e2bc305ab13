//! Gateways and those who watch at them, while somebody changes who may see what.

use std::{cell::Cell, sync::Arc, time::Duration};

use fastrand::Rng;
use jiff::Timestamp;
use serde_json::{Value, json};
use sluice::{app::Altered, telemetry::Metrics};
use sluice_schema::{ids::TenantId, viewer::PurposeOfUse};
use sluice_subscriptions::relationships::{Consistency, Relationships, SCHEMA};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{interval, timeout},
};

use super::{
    changes::{Changes, Mutation, Planned, at_first},
    link::Link,
    people::{FIELDS, MEMBERS, PEOPLE, SELVES, checks},
    play::Play,
    publisher::Publisher,
    record::{Answers, Change, Event, History, Records, Span, Through},
    truth::{Sight, Truth},
    watcher::Watcher,
};
use crate::{
    harness::{Ws, code},
    installation::{Gateway, GatewayOptions, Home, another_client, on_real_parts},
};

/// How many events come between one change and the next.
const EVENTS_BETWEEN: std::ops::Range<usize> = 1..20;

const CHANGES: usize = 30;

/// Who writes relationships past the gateways.
struct Others {
    relationships: Arc<dyn Relationships>,
    through: Through,
}

pub(super) struct Stage {
    pub(super) tenant: TenantId,
    gateways: Vec<Gateway>,
    others: Others,
    /// A place before the first event.
    start: String,
    first: Change,
    patience: Duration,
    /// To the second gateway's SpiceDB, where something goes wrong with it.
    link: Option<Link>,
}

impl Stage {
    pub(super) async fn set(home: &Home, play: &Play) -> Self {
        let link = match play.trouble {
            Some(trouble) => Some(Link::with(trouble).await),
            None => None,
        };
        let mut gateways = Vec::new();
        for node in ["a", "b"].into_iter().take(if on_real_parts() { 2 } else { 1 }) {
            let environment = link.iter().filter(|_| node == "b").map(Link::environment).collect();
            let altered = Altered { relationships: play.between, ..Altered::default() };
            let options = GatewayOptions { node, environment, metrics: Metrics::detached(), altered };
            gateways.push(Gateway::open(home, options).await);
        }
        let tenant = gateways[0].tenant.clone();
        let others = match on_real_parts() {
            true => Others { relationships: Arc::new(another_client(SCHEMA).await), through: Through::Others },
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
        Self { tenant, gateways, others, start, first, patience: play.patience, link }
    }

    pub(super) async fn run(self, seed: u64) -> (Vec<Gateway>, History, Timestamp) {
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
        let troubled = self.link.as_ref().map(|_| 1);
        let history =
            History { changes, answers, events: publisher.events, watched, troubled, records: Records::new() };
        (self.gateways, history, end)
    }

    /// Makes the changes one after another, with events between them, and asks after each what is true of somebody now.
    async fn change(&self, seed: u64, mut published: watch::Receiver<usize>) -> (Vec<Change>, Vec<Answers>) {
        let mut random = Rng::with_seed(seed);
        let mut planned = Changes::new(&self.tenant, random.u64(..));
        let (mut changes, mut answers) = (vec![self.first.clone()], Vec::new());
        for number in 0.. {
            if number >= CHANGES && !self.link.as_ref().is_some_and(Link::lasts) {
                break;
            }
            let gateway = self.gateway_for(number, &mut random).await;
            let Planned { update, mutation } = planned.next();
            let through = if mutation.is_some() { Through::Gateway(gateway) } else { self.others.through };
            let sent = Timestamp::now();
            let done = match mutation {
                Some(mutation) => mutate(&self.gateways[gateway], mutation).await,
                None => self.others.relationships.write(vec![update.clone()]).await.map(|_revision| true).unwrap(),
            };
            if !done {
                continue;
            }
            let at = Span { sent, answered: Timestamp::now() };
            changes.push(Change { updates: vec![update], through, at });
            answers.push(self.ask(through, random.usize(..PEOPLE.len())).await);
            let enough = *published.borrow() + random.usize(EVENTS_BETWEEN);
            published.wait_for(|count| *count >= enough).await.expect("it goes on being published");
        }
        self.link.iter().for_each(Link::mend);
        (changes, answers)
    }

    /// Through which a change is made. Once something went wrong, not through the second: it may refuse.
    async fn gateway_for(&self, change: usize, random: &mut Rng) -> usize {
        let gateway = random.usize(..self.gateways.len());
        let Some(link) = &self.link else { return gateway };
        link.before(change);
        if !link.was_in_trouble() {
            return gateway;
        }
        if link.lasts() {
            self.is_refused(link.refusals()).await;
        }
        0
    }

    /// What a stranger asks the second gateway for is answered so: what is denied is never kept.
    async fn is_refused(&self, codes: &[&str]) {
        const MEMBER: &str = "{ member(id: \"m-1\") { id } }";
        let gateway = &self.gateways[1];
        let answer = gateway.graphql(&gateway.token("u-stranger", PurposeOfUse::Treatment), MEMBER, json!({})).await;
        assert!(codes.contains(&code(&answer)), "{answer}");
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

    /// What each may see of each member, as far as it is waited for. It is worked out beside the gateways, which would stand still
    /// for longer than a request may take.
    async fn sights(&self, changes: &[Change]) -> Vec<Sight> {
        let (tenant, changes, gateways) = (self.tenant.clone(), changes.to_vec(), self.gateways.len());
        let end = Timestamp::now() + self.patience;
        let work_out = move || {
            let truth = Truth::of(&tenant, &changes, end);
            pairs().map(|(person, member)| truth.sight(person, member, person % gateways, false)).collect()
        };
        tokio::task::spawn_blocking(work_out).await.expect("the truth is worked out")
    }

    /// Until everybody who certainly may see the last events has seen them: all that was on its way has come. If that is not so
    /// in good time, the checker says what did not come.
    async fn until_seen(&self, changes: &[Change], events: &[Event], seen: &[watch::Receiver<Option<usize>>]) {
        let last = |member| events.iter().rposition(|event| event.member == member).expect("published above");
        let sights = self.sights(changes).await;
        let is_there = |member, seen: Option<usize>, sight: &Sight| {
            let sent = events[last(member)].at.sent;
            seen >= Some(last(member)) || sight.may_not_see(FIELDS[0].label(), sent, Timestamp::now())
        };
        let mut look = interval(Duration::from_millis(20));
        let all = async {
            for (((_, member), seen), sight) in pairs().zip(seen).zip(&sights) {
                while !is_there(member, *seen.borrow(), sight) {
                    look.tick().await;
                }
            }
        };
        drop(timeout(self.patience, all).await);
    }
}

/// Whether it was done: what was to end by then is refused.
async fn mutate(gateway: &Gateway, Mutation { user, purpose, query, input }: Mutation) -> bool {
    let answer = gateway.graphql(&gateway.token(user, purpose), query, json!({ "input": input })).await;
    let is_over =
        || input["until"].as_str().is_some_and(|until| until.parse::<Timestamp>().unwrap() <= Timestamp::now());
    let too_late = answer["errors"][0]["extensions"]["code"] == "INVALID_DATE" && is_over();
    assert!(too_late || answer["data"]["done"].is_object(), "{query} of {input}: {answer}");
    !too_late
}

/// Everybody with each member.
fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..PEOPLE.len()).flat_map(|person| (0..MEMBERS.len()).map(move |member| (person, member)))
}
