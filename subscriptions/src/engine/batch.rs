//! Decide, render, audit, hand over: for some events and those subscriptions that they concern.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hashbrown::HashMap;
use jiff::Timestamp;
use sluice_schema::{
    error::{ClientError, Code},
    position::ReadVector,
};
use tokio::time::Instant;

use super::{
    Parts,
    audiences::Audiences,
    classes::{Class, Member, classify},
    subscription::Live,
};
use crate::{
    access::{Access, Affected, Decided},
    audit::{Action, AuditRecord, Seen as SeenBy},
    opened::OpenedEvent,
    render::Renderer,
};

/// How long a record may take where nobody tells of changes: what was decided before is too old by then.
const UNHEARD: Duration = Duration::from_secs(1);

/// After so many calls to the sockets others get their turn.
const FLUSHES: u64 = 256;

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

/// What became of a batch.
pub(super) struct Delivered {
    pub(super) ended: Ended,
    /// Those that were given nothing of it: what was decided for them may not be true any more. It is to be decided anew.
    pub(super) overtaken: HashMap<u64, Arc<Live>>,
}

/// Nothing of the batch was handed to anybody.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Held(pub(super) String);

/// What is made for one batch and good for the next.
#[derive(Default)]
pub(super) struct Reused {
    renderers: Renderers,
    audiences: Audiences,
}

impl Reused {
    /// Forgets a projection's renderer: after it failed, or when nobody uses it.
    pub(super) fn forget(&mut self, key: &str) {
        self.renderers.forget(key);
    }
}

/// The renderers of the projections in use.
#[derive(Default)]
struct Renderers(HashMap<Arc<str>, Box<dyn Renderer>>);

impl Renderers {
    fn of(&mut self, live: &Live) -> &mut Box<dyn Renderer> {
        self.0.entry(live.projection.key().clone()).or_insert_with(|| live.projection.renderer())
    }

    fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }
}

/// Delivers a batch, in order, or nothing of it: to each subscription, and where access or audit can't be had to all.
///
/// # Errors
/// Access or audit can't be had: nothing was handed over, and all of it is to be tried again.
pub(super) async fn deliver(parts: &Parts, reused: &mut Reused, entries: &[Entry]) -> Result<Delivered, Held> {
    let mut ended = Ended::new();
    let told = parts.access.told();
    let classes = classify(parts, entries, &mut ended).await?;
    let decided = Instant::now();
    let Reused { renderers, audiences } = reused;
    let record = |class: &Class| record(&entries[class.entry], class, audiences);
    let records = classes.iter().map(record).collect::<Vec<_>>();
    // The audit trail commits while the classes are rendered; nothing leaves before both are done.
    let (audited, rendered) = tokio::join!(parts.audit(records), render(renderers, entries, &classes));
    audited.map_err(Held)?;
    if !parts.access.is_known() && decided.elapsed() > UNHEARD {
        return Err(Held("it was decided too long ago, and nobody tells what has changed since".into()));
    }
    let mut delivered = Delivered { ended, overtaken: overtaken(&parts.access, told, entries, &classes) };
    let mut count = 0;
    for (class, bytes) in classes.iter().zip(rendered) {
        count += hand_over(&entries[class.entry], class, bytes, &mut delivered);
    }
    metrics::counter!("sluice_deliveries_total").increment(count);
    flush(&classes).await;
    Ok(delivered)
}

/// Those for whom a change came while what was decided was recorded, or the end of a relationship.
fn overtaken(access: &Access, told: u64, entries: &[Entry], classes: &[Class]) -> HashMap<u64, Arc<Live>> {
    let touched = access.told_since(told);
    // Where changes are not known nobody knows either what ends, and when.
    let (affected, now) = (Affected::by(&touched), access.is_known().then(Timestamp::now));
    let mut overtaken = HashMap::new();
    for class in classes {
        let is_over = class.until.zip(now).is_some_and(|(until, now)| until <= now);
        if touched.is_empty() && !is_over {
            continue;
        }
        let member = entries[class.entry].event.patient.as_ref();
        let is_affected = |live: &Live| member.is_none_or(|member| affected.includes(&live.viewer, member));
        let lives = class.members.iter().map(|member| &member.live).filter(|live| is_over || is_affected(live));
        overtaken.extend(lives.map(|live| (live.id, live.clone())));
    }
    metrics::counter!("sluice_deliveries_overtaken_total").increment(overtaken.len() as u64);
    overtaken
}

async fn render(renderers: &mut Renderers, entries: &[Entry], classes: &[Class]) -> Vec<Option<Bytes>> {
    let mut rendered = Vec::with_capacity(classes.len());
    for class in classes {
        let Some(Member { live: first, .. }) = class.members.first() else {
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

fn record(entry: &Entry, class: &Class, audiences: &mut Audiences) -> AuditRecord {
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
            audience: audiences.of(class),
        },
    }
}

pub(super) fn seen_by(decided: &Decided) -> SeenBy {
    SeenBy::new(decided.mask, &decided.revision)
}

/// Gives how many took it.
fn hand_over(
    entry: &Entry,
    class: &Class,
    bytes: Option<Bytes>,
    Delivered { ended, overtaken }: &mut Delivered,
) -> u64 {
    let mut delivered = 0;
    for Member { live, .. } in &class.members {
        if overtaken.contains_key(&live.id) || ended.iter().any(|(other, ..)| other.id == live.id) {
            // It took no earlier event of this batch; a later one would leave a hole.
            continue;
        }
        let Some(bytes) = &bytes else {
            let error = ClientError::new(Code::Internal, "This event can't be shown: a fault of the server.");
            ended.push((live.clone(), entry.vector.clone(), Some(error)));
            continue;
        };
        match live.subscriber.next(bytes, &entry.vector) {
            Ok(()) => delivered += 1,
            Err(gone) => {
                live.is_gone(gone);
                ended.push((live.clone(), entry.vector.clone(), None));
            }
        }
    }
    delivered
}

/// Sends what was handed over: all of a batch that one socket gets leaves together.
async fn flush(classes: &[Class]) {
    let mut last = None;
    let members = classes.iter().flat_map(|class| &class.members);
    // One that is caught up is alone in its batch, and must not be cut off between what it was given and where it is.
    let members = members.filter(|member| last.replace(member.live.id) != Some(member.live.id));
    for (number, Member { live, .. }) in (1..).zip(members) {
        live.subscriber.flush();
        if number % FLUSHES == 0 {
            tokio::task::yield_now().await;
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
