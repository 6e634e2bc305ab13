use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use tokio::sync::Notify;

use super::{
    super::{
        NoJournal, SCHEMA, SubjectRef, contract, required_permissions,
        twin::{Switchable, Unavailable},
    },
    *,
};

mod contract_over_embedded {
    use super::*;

    async fn open(schema: &str) -> Embedded {
        Embedded::open(schema, NoJournal, Arc::new(Timestamp::now)).await.unwrap()
    }

    crate::relationships_contract!(open);
}

mod contract_over_a_switchable {
    use super::*;

    async fn open(schema: &str) -> Switchable {
        let embedded = Embedded::open(schema, MemoryJournal::default(), Arc::new(Timestamp::now)).await.unwrap();
        Switchable::new(Arc::new(embedded))
    }

    crate::relationships_contract!(open);
}

/// A journal in memory that can stall, and fail before or after it stored. Clones share what is stored.
#[derive(Clone, Default)]
struct MemoryJournal(Arc<Stored>);

#[derive(Default)]
struct Stored {
    updates: Mutex<Vec<Update>>,
    revision: Mutex<u64>,
    fail: Mutex<Option<Fail>>,
    stalls: AtomicBool,
    stalled: Notify,
    go_on: Notify,
}

#[derive(Clone, Copy)]
enum Fail {
    Before,
    After,
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn load(&self) -> Result<(Vec<Relationship>, u64), RelationshipsError> {
        let mut found: Vec<Relationship> = Vec::new();
        for update in self.0.updates.lock().unwrap().iter() {
            let (Update::Touch(one) | Update::Delete(one)) = update;
            found.retain(|old| {
                (&old.resource, &old.relation, &old.subject) != (&one.resource, &one.relation, &one.subject)
            });
            if let Update::Touch(one) = update {
                found.push(one.clone());
            }
        }
        Ok((found, *self.0.revision.lock().unwrap()))
    }

    async fn append(&self, revision: u64, updates: &[Update]) -> Result<(), RelationshipsError> {
        if self.0.stalls.load(Ordering::SeqCst) {
            self.0.stalled.notify_one();
            self.0.go_on.notified().await;
        }
        let fail = self.0.fail.lock().unwrap().take();
        if let Some(Fail::Before) = fail {
            return Err(RelationshipsError::Unavailable("the disk is full".into()));
        }
        let mut last = self.0.revision.lock().unwrap();
        assert_eq!(revision, *last + 1, "a journal refuses any other revision");
        *last = revision;
        self.0.updates.lock().unwrap().extend(updates.iter().cloned());
        match fail {
            Some(_) => Err(RelationshipsError::Unavailable("the answer was lost".into())),
            None => Ok(()),
        }
    }
}

async fn open(journal: MemoryJournal) -> Embedded {
    Embedded::open(contract::SCHEMA, journal, Arc::new(|| second(0))).await.unwrap()
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn object(object_type: &str, id: &str) -> ObjectRef {
    ObjectRef { object_type: object_type.into(), id: format!("acme/{id}").into() }
}

fn reader(user: &str, expires: Option<Timestamp>) -> Relationship {
    let subject = SubjectRef { object: object("user", user), relation: None };
    Relationship { resource: object("document", "d-1"), relation: "reader".into(), subject, expires }
}

fn touch(user: &str) -> Vec<Update> {
    vec![Update::Touch(reader(user, None))]
}

async fn reads(embedded: &dyn Relationships, user: &str) -> bool {
    embedded.check_many(Consistency::Full, &[question(user)]).await.unwrap().allowed[0]
}

fn question(user: &str) -> Check {
    Check { resource: object("document", "d-1"), permission: "read".into(), subject: object("user", user) }
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let journal = MemoryJournal::default();
    let first = open(journal.clone()).await;
    first.write(touch("ada")).await.unwrap();
    let revision = first.write(touch("bob")).await.unwrap();
    drop(first);
    let second = open(journal).await;
    assert!(reads(&second, "ada").await && reads(&second, "bob").await);
    let at_least = Consistency::AtLeast(revision.clone());
    assert!(second.check_many(at_least, &[question("ada")]).await.unwrap().allowed[0]);
    assert_ne!(second.write(touch("eve")).await.unwrap(), revision, "revisions go on where they ended");
}

#[tokio::test]
async fn a_write_is_stored_before_it_is_seen_and_checks_do_not_wait_for_it() {
    let journal = MemoryJournal::default();
    let embedded = Arc::new(open(journal.clone()).await);
    journal.0.stalls.store(true, Ordering::SeqCst);
    let writing = tokio::spawn({
        let embedded = embedded.clone();
        async move { embedded.write(touch("ada")).await }
    });
    journal.0.stalled.notified().await;
    assert!(!reads(embedded.as_ref(), "ada").await, "not durable yet");
    journal.0.go_on.notify_one();
    writing.await.unwrap().unwrap();
    assert!(reads(embedded.as_ref(), "ada").await);
}

#[tokio::test]
async fn a_write_whose_caller_went_away_is_stored_and_seen() {
    let journal = MemoryJournal::default();
    let embedded = Arc::new(open(journal.clone()).await);
    journal.0.stalls.store(true, Ordering::SeqCst);
    let writing = tokio::spawn({
        let embedded = embedded.clone();
        async move { embedded.write(touch("ada")).await }
    });
    journal.0.stalled.notified().await;
    writing.abort();
    assert!(writing.await.unwrap_err().is_cancelled());
    journal.0.stalls.store(false, Ordering::SeqCst);
    journal.0.go_on.notify_one();
    embedded.write(touch("bob")).await.unwrap();
    assert!(reads(embedded.as_ref(), "ada").await && reads(embedded.as_ref(), "bob").await);
    assert_eq!(*journal.0.revision.lock().unwrap(), 2);
}

#[tokio::test]
async fn after_a_failed_append_what_is_stored_decides() {
    let journal = MemoryJournal::default();
    let embedded = open(journal.clone()).await;
    *journal.0.fail.lock().unwrap() = Some(Fail::Before);
    assert!(embedded.write(touch("ada")).await.is_err());
    assert!(!reads(&embedded, "ada").await);
    *journal.0.fail.lock().unwrap() = Some(Fail::After);
    assert!(embedded.write(touch("bob")).await.is_err());
    assert!(!reads(&embedded, "bob").await, "nobody was told that it happened");
    embedded.write(touch("eve")).await.unwrap();
    assert!(reads(&embedded, "bob").await && reads(&embedded, "eve").await);
    assert!(!reads(&embedded, "ada").await);
}

#[tokio::test]
async fn a_relationship_is_absent_from_its_instant_on() {
    let time = Arc::new(AtomicI64::new(0));
    let clock = time.clone();
    let clock: Clock = Arc::new(move || second(clock.load(Ordering::SeqCst)));
    let embedded = Embedded::open(contract::SCHEMA, NoJournal, clock).await.unwrap();
    embedded.write(vec![Update::Touch(reader("ada", Some(second(10))))]).await.unwrap();
    for (now, allowed) in [(9, true), (10, false), (11, false)] {
        time.store(now, Ordering::SeqCst);
        assert_eq!(reads(&embedded, "ada").await, allowed, "at {now}");
        assert_eq!(embedded.read(&object("document", "d-1")).await.unwrap().len(), usize::from(allowed), "at {now}");
    }
}

#[tokio::test]
async fn a_revision_of_another_store_is_refused() {
    let embedded = open(MemoryJournal::default()).await;
    embedded.write(touch("ada")).await.unwrap();
    for revision in ["2", "not one of ours"] {
        let at_least = Consistency::AtLeast(Revision(revision.into()));
        let answer = embedded.check_many(at_least, &[question("ada")]).await;
        assert!(matches!(answer, Err(RelationshipsError::Invalid(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_schema_that_lost_a_relation_in_use_is_refused() {
    let journal = MemoryJournal::default();
    open(journal.clone()).await.write(touch("ada")).await.unwrap();
    let opened = Embedded::open(SCHEMA, journal, Arc::new(Timestamp::now)).await;
    let text = opened.err().expect("sluice.zed has no documents").to_string();
    assert!(text.contains("no definition `document`"), "{text}");
}

#[tokio::test]
async fn a_schema_that_cannot_be_evaluated_is_refused() {
    let opened = Embedded::open("caveat tall() {}", NoJournal, Arc::new(Timestamp::now)).await;
    assert!(matches!(opened.err(), Some(OpenError::Schema(_))));
}

#[tokio::test]
async fn the_start_up_check_passes_for_sluices_schema_only() {
    let sluice = Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.unwrap();
    sluice.require("member", required_permissions()).unwrap();
    assert!(open(MemoryJournal::default()).await.require("member", required_permissions()).is_err());
}

#[tokio::test]
async fn a_broken_journal_is_told_at_the_start() {
    struct Broken;
    #[async_trait]
    impl Journal for Broken {
        async fn load(&self) -> Result<(Vec<Relationship>, u64), RelationshipsError> {
            Err(RelationshipsError::Unavailable("the file is torn".into()))
        }
        async fn append(&self, _: u64, _: &[Update]) -> Result<(), RelationshipsError> {
            unreachable!("never opened")
        }
    }
    let text = Embedded::open(SCHEMA, Broken, Arc::new(Timestamp::now)).await.err().unwrap().to_string();
    assert!(text.contains("the file is torn"), "{text}");
}

#[tokio::test]
async fn deep_nesting_and_circles_are_errors_never_answers() {
    let embedded = open(MemoryJournal::default()).await;
    let group = |i: usize| object("group", &format!("g-{i}"));
    let link = |i: usize, to: usize| {
        let subject = SubjectRef { object: group(to), relation: Some("member".into()) };
        Update::Touch(Relationship { resource: group(i), relation: "member".into(), subject, expires: None })
    };
    let deepest = 60;
    embedded.write((0..deepest).map(|i| link(i, i + 1)).collect()).await.unwrap();
    let ada = SubjectRef { object: object("user", "ada"), relation: None };
    let last = Relationship { resource: group(deepest), relation: "member".into(), subject: ada, expires: None };
    embedded.write(vec![Update::Touch(last)]).await.unwrap();
    let is_member = async |from: usize| {
        let member = Check { resource: group(from), permission: "member".into(), subject: object("user", "ada") };
        embedded.check_many(Consistency::Full, &[member]).await.map(|checked| checked.allowed[0])
    };
    let max = evaluate::MAX_DEPTH as usize;
    assert!(is_member(deepest + 1 - max).await.unwrap(), "fifty deep is fine");
    assert!(matches!(is_member(deepest - max).await, Err(RelationshipsError::Unavailable(_))));
}

#[tokio::test]
async fn relationships_that_branch_without_end_are_an_error() {
    let embedded = open(MemoryJournal::default()).await;
    let group = |layer: usize, side: usize| object("group", &format!("g-{layer}-{side}"));
    let link = |(layer, side, to): (usize, usize, usize)| {
        let subject = SubjectRef { object: group(layer + 1, to), relation: Some("member".into()) };
        Update::Touch(Relationship { resource: group(layer, side), relation: "member".into(), subject, expires: None })
    };
    let links = (0..40).flat_map(|layer| [(layer, 0, 0), (layer, 0, 1), (layer, 1, 0), (layer, 1, 1)]);
    embedded.write(links.map(link).collect()).await.unwrap();
    let asked = Check { resource: group(0, 0), permission: "member".into(), subject: object("user", "ada") };
    let answer = embedded.check_many(Consistency::Full, &[asked]).await;
    assert!(matches!(answer, Err(RelationshipsError::Unavailable(_))), "2^40 ways: {answer:?}");
}

#[tokio::test]
async fn the_twins_fail_when_told() {
    assert!(Unavailable.check_many(Consistency::Full, &[question("ada")]).await.is_err());
    assert!(Unavailable.write(touch("ada")).await.is_err());
    assert!(Unavailable.read(&object("document", "d-1")).await.is_err());
    let switchable = Switchable::new(Arc::new(open(MemoryJournal::default()).await));
    switchable.write(touch("ada")).await.unwrap();
    switchable.clone().fail();
    let answer = switchable.check_many(Consistency::Full, &[question("ada")]).await;
    assert!(matches!(answer, Err(RelationshipsError::Unavailable(_))));
    assert!(switchable.write(touch("bob")).await.is_err());
    switchable.recover();
    assert!(reads(&switchable, "ada").await && !reads(&switchable, "bob").await);
}
