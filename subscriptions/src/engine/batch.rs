//! Decide, render, audit, hand over: for some events and those subscriptions that they concern.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use jiff::Timestamp;
use sluice_schema::{
    access::{Mask, View},
    error::{ClientError, Code},
    position::ReadVector,
};

use super::{Parts, subscription::Live};
use crate::{
    access::{Decided, Question},
    audit::{Action, Audience, AuditRecord, Recipient, Seen as SeenBy},
    opened::OpenedEvent,
    render::{Renderer, Seen},
};

/// One event and whom it concerns.
pub(super) struct Entry {
    pub(super) event: Arc<OpenedEvent>,
    /// Its cursor, as a vector and as text.
    pub(super) vector: ReadVector,
    pub(super) cursor: String,
    pub(super) subscriptions: Vec<Arc<Live>>,
}

/// Subscriptions that end with this batch, each with where and why.
pub(super) type Ended = Vec<(Arc<Live>, ReadVector, Option<ClientError>)>;

/// Nothing of the batch was handed to anybody.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Held(String);

/// The renderers of the projections in use.
#[derive(Default)]
pub(super) struct Renderers(HashMap<Arc<str>, Box<dyn Renderer>>);

impl Renderers {
    fn of(&mut self, live: &Live) -> &mut Box<dyn Renderer> {
        self.0.entry(live.projection.key().clone()).or_insert_with(|| live.projection.renderer())
    }

    /// Forgets a projection's renderer: after it failed, or when nobody uses it.
    pub(super) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }
}

/// Subscribers of one event who see the same bytes.
struct Class {
    entry: usize,
    seen: Seen,
    /// The first member's.
    decided: Decided,
    /// Each with what was decided for it: other masks may open the same.
    members: Vec<(Arc<Live>, Decided)>,
}

/// Delivers a batch, in order, or nothing of it.
///
/// # Errors
/// Access or audit can't be had: nothing was handed over, and all of it is to be tried again.
pub(super) async fn deliver(parts: &Parts, renderers: &mut Renderers, entries: &[Entry]) -> Result<Ended, Held> {
    let mut ended = Ended::new();
    let classes = classify(parts, entries, &mut ended).await?;
    let records = classes.iter().map(|class| record(&entries[class.entry], class)).collect::<Vec<_>>();
    // The audit trail commits while the classes are rendered; nothing leaves before both are done.
    let (audited, rendered) = tokio::join!(parts.audit(records), render(renderers, entries, &classes));
    audited.map_err(Held)?;
    for (class, bytes) in classes.iter().zip(rendered) {
        hand_over(&entries[class.entry], class, bytes, &mut ended);
    }
    Ok(ended)
}

/// Decides for every event × subscriber, and puts those who see the same of an event together.
async fn classify(parts: &Parts, entries: &[Entry], ended: &mut Ended) -> Result<Vec<Class>, Held> {
    let mut questions = Vec::new();
    let mut asked = HashMap::new();
    let mut pairs = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        for live in &entry.subscriptions {
            if live.is_expired() {
                let error =
                    ClientError::new(Code::Unauthenticated, "The token has expired: renew it and resume by cursor.");
                ended.push((live.clone(), entry.vector.clone(), Some(error)));
                continue;
            }
            let member = entry.event.patient.as_ref();
            let demand = live.projection.demand(entry.event.payload.table()).mask();
            let key = (&live.viewer.tenant, &live.viewer.user, live.viewer.purpose, member);
            let question = *asked.entry(key).or_insert_with(|| {
                questions.push(Question { viewer: &live.viewer, member, demand });
                questions.len() - 1
            });
            questions[question].demand = questions[question].demand.with(demand);
            pairs.push(Pair { entry: index, live, question });
        }
    }
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let decisions = parts.access.decide(&questions).await.map_err(|error| Held(error.to_string()))?;
    Ok(group(entries, pairs, &decisions))
}

/// One event and one subscription that it concerns.
struct Pair<'l> {
    entry: usize,
    live: &'l Arc<Live>,
    question: usize,
}

fn group(entries: &[Entry], pairs: Vec<Pair<'_>>, decisions: &[Decided]) -> Vec<Class> {
    let mut classes: BTreeMap<(usize, View, Arc<str>), Class> = BTreeMap::new();
    let mut seen_by: HashMap<(usize, Mask), Option<Seen>> = HashMap::new();
    for Pair { entry, live, question } in pairs {
        let event = &entries[entry].event;
        let demand = live.projection.demand(event.payload.table());
        // As many as questions.
        let decided = decisions[question].within(demand.mask());
        let mask = decided.mask;
        let seen = seen_by.entry((entry, mask)).or_insert_with(|| Seen::by(event, mask));
        let Some(seen) = seen else {
            metrics::counter!("sluice_deliveries_denied_total").increment(1);
            continue;
        };
        let key = (entry, demand.view(mask), live.projection.key().clone());
        let class = classes.entry(key).or_insert_with(|| Class {
            entry,
            seen: seen.clone(),
            decided: decided.clone(),
            members: Vec::new(),
        });
        class.members.push((live.clone(), decided));
    }
    classes.into_values().collect()
}

async fn render(renderers: &mut Renderers, entries: &[Entry], classes: &[Class]) -> Vec<Option<Bytes>> {
    let mut rendered = Vec::with_capacity(classes.len());
    for class in classes {
        let Some((first, _)) = class.members.first() else {
            rendered.push(None);
            continue;
        };
        let bytes = renderers.of(first).render(&class.seen, &entries[class.entry].cursor).await;
        rendered.push(bytes.map_err(|error| failed(renderers, first, &error.0)).ok());
    }
    rendered
}

fn failed(renderers: &mut Renderers, live: &Live, why: &str) {
    tracing::error!(why, "an event can't be rendered; its subscriptions end");
    renderers.forget(live.projection.key());
}

fn record(entry: &Entry, class: &Class) -> AuditRecord {
    let event = &entry.event;
    AuditRecord {
        at: Timestamp::now(),
        tenant: event.tenant.clone(),
        action: Action::Deliver {
            patient: event.patient.clone(),
            event_id: event.recorded.header.event_id.clone(),
            event_type: event.recorded.header.r#type.clone(),
            cursor: entry.cursor.clone(),
            seen: seen_by(&class.decided),
            audience: Arc::new(audience(class)),
        },
    }
}

fn audience(class: &Class) -> Audience {
    Audience::of(class.members.iter().map(|(live, decided)| recipient(class, live, decided)).collect())
}

/// The class tells its decision once, for all who share it.
fn recipient(class: &Class, live: &Live, decided: &Decided) -> Recipient {
    let differs = *decided != class.decided;
    Recipient { seen: differs.then(|| seen_by(decided)), ..live.recipient() }
}

fn seen_by(decided: &Decided) -> SeenBy {
    SeenBy::new(decided.mask, &decided.revision)
}

fn hand_over(entry: &Entry, class: &Class, bytes: Option<Bytes>, ended: &mut Ended) {
    for (live, _) in &class.members {
        if ended.iter().any(|(other, ..)| other.id == live.id) {
            // It took no earlier event of this batch; a later one would leave a hole.
            continue;
        }
        let Some(bytes) = &bytes else {
            let error = ClientError::new(Code::Internal, "This event can't be shown: a fault of the server.");
            ended.push((live.clone(), entry.vector.clone(), Some(error)));
            continue;
        };
        match live.subscriber.next(bytes, &entry.vector) {
            Ok(()) => metrics::counter!("sluice_deliveries_total").increment(1),
            Err(_gone) => ended.push((live.clone(), entry.vector.clone(), None)),
        }
    }
}

impl Parts {
    /// Appends audit records, under the deadline.
    pub(super) async fn audit(&self, records: Vec<AuditRecord>) -> Result<(), String> {
        if records.is_empty() {
            return Ok(());
        }
        let appended = tokio::time::timeout(self.audit_deadline, self.audit.append(records)).await;
        appended.map_err(|_| "the audit trail gave no answer in time".to_owned())?.map_err(|error| error.to_string())
    }
}
