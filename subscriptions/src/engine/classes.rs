//! Who sees the same of an event: decided for every event × subscriber, rendered and recorded once for all of them.

use std::sync::Arc;

use hashbrown::HashMap;
use jiff::Timestamp;
use sluice_schema::{
    access::{Demand, View},
    error::{ClientError, Code},
};

use super::{
    Parts,
    batch::{Ended, Entry, Held},
    subscription::Live,
};
use crate::{
    access::{Decided, KeptDecisions, Question, count_kept},
    render::Seen,
};

/// Subscribers of one event who see the same bytes.
pub(super) struct Class {
    /// Which of the batch's.
    pub(super) entry: usize,
    pub(super) seen: Seen,
    /// The first member's.
    pub(super) decided: Decided,
    /// When the first of what was decided for its members may be over by itself, as far as that was ahead when it was decided:
    /// what is just over may be behind an answer, or not.
    pub(super) until: Option<Timestamp>,
    /// Never empty.
    pub(super) members: Vec<Member>,
}

pub(super) struct Member {
    pub(super) live: Arc<Live>,
    /// What was decided for it, where that is not what was for the first: other masks may open the same.
    pub(super) decided: Option<Decided>,
}

/// Decides for every event × subscriber, and puts those who see the same of an event together, in the order of the
/// events.
pub(super) async fn classify(parts: &Parts, entries: &[Entry], ended: &mut Ended) -> Result<Vec<Class>, Held> {
    let now = Timestamp::now();
    let kept = parts.access.kept(now);
    let mut classes = Classes::at(now);
    let (mut decided_before, mut undecided) = (0, Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        for live in &entry.subscriptions {
            if live.viewer.expires.at() <= now {
                ended.push((live.clone(), entry.vector.clone(), Some(expired())));
                continue;
            }
            if !live.projection.finds(&entry.event.payload) {
                continue;
            }
            let pair = Pair { index, entry, live, demand: live.projection.demand(entry.event.payload.table()) };
            match pair.decided_before(&kept) {
                Some(decided) => {
                    decided_before += 1;
                    classes.add(&pair, decided);
                }
                None => undecided.push(pair),
            }
        }
    }
    if !undecided.is_empty() {
        decide(parts, &undecided, &mut classes).await?;
    }
    count_kept(decided_before);
    metrics::counter!("sluice_deliveries_denied_total").increment(classes.denied);
    Ok(classes.in_order())
}

fn expired() -> ClientError {
    ClientError::new(Code::Unauthenticated, "The token has expired: renew it and resume by cursor.")
}

/// One event and one subscription that it concerns.
struct Pair<'e> {
    index: usize,
    entry: &'e Entry,
    live: &'e Arc<Live>,
    demand: &'e Demand,
}

impl Pair<'_> {
    fn question(&self) -> Question<'_> {
        Question { viewer: &self.live.viewer, member: self.entry.event.patient.as_ref(), demand: self.demand.mask() }
    }

    fn decided_before(&self, kept: &KeptDecisions<'_>) -> Option<Decided> {
        kept.get(&self.question(), &self.live.last_decision)
    }
}

/// Each viewer and member is asked about once.
async fn decide(parts: &Parts, pairs: &[Pair<'_>], classes: &mut Classes) -> Result<(), Held> {
    let mut questions: Vec<Question<'_>> = Vec::new();
    let mut asked = HashMap::new();
    let mut places = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let question = pair.question();
        let viewer = question.viewer;
        let key = (&viewer.tenant, &viewer.user, viewer.purpose, question.member);
        let place = *asked.entry(key).or_insert_with(|| {
            questions.push(question);
            questions.len() - 1
        });
        questions[place].demand = questions[place].demand.with(question.demand);
        places.push(place);
    }
    let decisions = parts.access.decide(&questions).await.map_err(|error| Held(error.to_string()))?;
    for (pair, place) in pairs.iter().zip(places) {
        // As many as questions.
        classes.add(pair, decisions[place].within(pair.demand.mask()));
    }
    Ok(())
}

/// What tells classes of one event apart. A projection stands for itself: those that are equal are one.
type Key = (usize, View, usize);

struct Classes {
    now: Timestamp,
    classes: Vec<Class>,
    by_key: HashMap<Key, usize>,
    /// Where the one before went: neighbours mostly go together.
    last: Option<(Key, usize)>,
    denied: u64,
}

impl Classes {
    fn at(now: Timestamp) -> Self {
        Self { now, classes: Vec::new(), by_key: HashMap::new(), last: None, denied: 0 }
    }

    fn add(&mut self, pair: &Pair<'_>, decided: Decided) {
        let event = &pair.entry.event;
        if !decided.mask.sees(event.payload.table().label) {
            self.denied += 1;
            return;
        }
        let projection = Arc::as_ptr(&pair.live.projection).cast::<()>().addr();
        let key = (pair.index, pair.demand.view(decided.mask), projection);
        let until = decided.until.filter(|until| *until > self.now);
        match self.find(key) {
            Some(place) => self.classes[place].add(pair.live, decided, until),
            None => self.open(key, pair, decided, until),
        }
    }

    fn find(&mut self, key: Key) -> Option<usize> {
        if let Some((_, place)) = self.last.filter(|(last, _)| *last == key) {
            return Some(place);
        }
        let place = *self.by_key.get(&key)?;
        self.last = Some((key, place));
        Some(place)
    }

    fn open(&mut self, key: Key, pair: &Pair<'_>, decided: Decided, until: Option<Timestamp>) {
        // Its label is open, as was just looked at.
        let Some(seen) = Seen::by(&pair.entry.event, decided.mask) else { return };
        self.by_key.insert(key, self.classes.len());
        self.last = Some((key, self.classes.len()));
        let members = vec![Member { live: pair.live.clone(), decided: None }];
        self.classes.push(Class { entry: pair.index, seen, decided, until, members });
    }

    fn in_order(mut self) -> Vec<Class> {
        // Stable. What had to be asked for came last.
        self.classes.sort_by_key(|class| class.entry);
        self.classes
    }
}

impl Class {
    fn add(&mut self, live: &Arc<Live>, decided: Decided, until: Option<Timestamp>) {
        self.until = self.until.into_iter().chain(until).min();
        let differs = !decided.is_as(&self.decided);
        self.members.push(Member { live: live.clone(), decided: differs.then_some(decided) });
    }
}
