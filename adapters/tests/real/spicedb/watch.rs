//! Changes followed by Watch: told soon, never believed known when they are not.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sluice_adapters::spicedb::{SpiceDb, SpiceDbOptions};
use sluice_schema::{
    access::{Mask, Visibilities},
    ids::MemberId,
    proto::privacy::Visibility,
    viewer::{PurposeOfUse, Viewer},
};
use sluice_subscriptions::{
    access::{Access, Question},
    relationships::{
        Check, Checked, Consistency, Heed, ObjectRef, Relationship, Relationships, RelationshipsError, Revision,
        SCHEMA, SubjectRef, Touched, Update,
    },
};
use tokio::sync::watch;

use super::own_server::OwnServer;

const BOUND: Duration = Duration::from_secs(2);

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

const HEARTBEAT: &str = "--watch-api-heartbeat=100ms";

/// Writes down what it is told.
struct Listener {
    touched: watch::Sender<Vec<Touched>>,
    known_until: watch::Sender<Option<Instant>>,
}

impl Listener {
    fn to(spicedb: &SpiceDb) -> Arc<Self> {
        let listener = Arc::new(Self { touched: watch::Sender::default(), known_until: watch::Sender::default() });
        let heed: Weak<Self> = Arc::downgrade(&listener);
        spicedb.follow(heed);
        listener
    }

    /// Until changes are known, for some time from now on.
    async fn knows(&self) {
        let mut known = self.known_until.subscribe();
        let known = known.wait_for(|until| until.is_some_and(|until| until > Instant::now()));
        tokio::time::timeout(PATIENCE, known).await.expect("it knows").unwrap();
    }

    fn knows_now(&self) -> bool {
        self.known_until.borrow().is_some_and(|until| until > Instant::now())
    }

    /// Until changes are not known.
    async fn loses_track(&self) {
        let mut known = self.known_until.subscribe();
        tokio::time::timeout(PATIENCE, known.wait_for(Option::is_none)).await.expect("it is noticed").unwrap();
    }

    async fn hears(&self, what: &Touched) {
        let mut touched = self.touched.subscribe();
        let heard = touched.wait_for(|touched| touched.contains(what));
        tokio::time::timeout(PATIENCE, heard).await.expect("it is told").unwrap();
    }

    async fn hears_more_than(&self, count: usize) {
        let mut touched = self.touched.subscribe();
        let heard = touched.wait_for(|touched| touched.len() > count);
        tokio::time::timeout(PATIENCE, heard).await.expect("it is told").unwrap();
    }

    fn forget(&self) {
        self.touched.send_replace(Vec::new());
    }

    fn heard(&self) -> Vec<Touched> {
        self.touched.borrow().clone()
    }
}

impl Heed for Listener {
    fn touched(&self, touched: &[Touched]) {
        self.touched.send_modify(|all| all.extend(touched.iter().cloned()));
    }

    fn known_until(&self, until: Option<Instant>) {
        self.known_until.send_replace(until);
    }
}

/// Counts how often it is asked.
struct Counted {
    spicedb: SpiceDb,
    asked: AtomicUsize,
}

#[async_trait]
impl Relationships for Counted {
    async fn check_many(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.spicedb.check_many(consistency, checks).await
    }

    async fn write(&self, updates: Vec<Update>) -> Result<Revision, RelationshipsError> {
        self.spicedb.write(updates).await
    }

    async fn read(&self, resource: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError> {
        self.spicedb.read(resource).await
    }

    fn follow(&self, heed: Weak<dyn Heed>) {
        self.spicedb.follow(heed);
    }
}

/// Decides, over a SpiceDB that counts.
struct Deciding {
    access: Access,
    relationships: Arc<Counted>,
}

impl Deciding {
    fn over(spicedb: SpiceDb) -> Self {
        let relationships = Arc::new(Counted { spicedb, asked: AtomicUsize::default() });
        Self { access: Access::new(relationships.clone(), PATIENCE), relationships }
    }

    /// Until the decision comes without being asked for.
    async fn keeps(&self, people: &People) {
        self.comes(false, people).await;
    }

    /// Until it has to be asked for.
    async fn keeps_nothing(&self, people: &People) {
        self.comes(true, people).await;
    }

    async fn comes(&self, asked: bool, people: &People) {
        let began = Instant::now();
        while self.asks(people).await != asked {
            assert!(began.elapsed() < PATIENCE, "it is not so: {asked}");
            // What is kept is answered without waiting for anything, and Watch has to be heard meanwhile.
            tokio::task::yield_now().await;
        }
    }

    /// Whether a yes has to be asked for. What another has just written may not be told yet: a no, and none, count as asked.
    async fn asks(&self, people: &People) -> bool {
        let asked = || self.relationships.asked.load(Ordering::SeqCst);
        let before = asked();
        people.sees(&self.access).await != Some(true) || asked() > before
    }
}

/// A tenant of its own.
struct People {
    viewer: Viewer,
    member: MemberId,
}

impl People {
    fn new() -> Self {
        let viewer = Viewer {
            tenant: format!("watch-{}", fastrand::u64(..)).parse().unwrap(),
            user: "u-1".parse().unwrap(),
            actor: None,
            purpose: PurposeOfUse::Treatment,
            expires: Timestamp::MAX.into(),
            token: Default::default(),
        };
        Self { viewer, member: "m-1".parse().unwrap() }
    }

    fn object(&self, object_type: &str, id: &str) -> ObjectRef {
        ObjectRef::new(object_type, &self.viewer.tenant, id)
    }

    fn relationship(&self, resource: (&str, &str), relation: &str, subject: (&str, &str)) -> Relationship {
        Relationship {
            resource: self.object(resource.0, resource.1),
            relation: relation.into(),
            subject: SubjectRef { object: self.object(subject.0, subject.1), relation: None },
            expires: None,
        }
    }

    /// The member's care team, and the user in it.
    fn care(&self) -> [Relationship; 2] {
        [
            self.relationship(("member", "m-1"), "care_team", ("care_team", "t-1")),
            self.relationship(("care_team", "t-1"), "member", ("user", "u-1")),
        ]
    }

    async fn grant(&self, spicedb: &SpiceDb) {
        spicedb.write(self.care().map(Update::Touch).into()).await.unwrap();
    }

    /// Whether the user may see the member.
    async fn sees(&self, access: &Access) -> Option<bool> {
        let mask = Mask { visibilities: Visibilities::of(Visibility::CareTeam), ..Mask::NOTHING };
        let question = Question { viewer: &self.viewer, member: Some(&self.member), demand: mask };
        Some(access.decide(&[question]).await.ok()?[0].mask == mask)
    }
}

async fn connect(options: SpiceDbOptions) -> SpiceDb {
    let spicedb = SpiceDb::connect(&options, SCHEMA).await.unwrap();
    spicedb.ensure_schema(true).await.unwrap();
    spicedb
}

fn following(options: SpiceDbOptions) -> SpiceDbOptions {
    SpiceDbOptions { max_staleness: BOUND, deadline: Duration::from_secs(1), ..options }
}

/// A server of the test's own, who follows it, and what she is told; changes are known.
async fn followed() -> (OwnServer, SpiceDb, Arc<Listener>) {
    let server = OwnServer::start_with(&[HEARTBEAT]).await;
    let spicedb = connect(following(server.options())).await;
    let listener = Listener::to(&spicedb);
    listener.knows().await;
    (server, spicedb, listener)
}

#[tokio::test]
async fn what_is_written_here_is_told_before_it_is_answered_and_what_others_write_soon() {
    let (one, other) = (super::connect_following().await, super::connect().await);
    let (listener, people) = (Listener::to(&one), People::new());
    listener.knows().await;
    let [team, nurse] = people.care();
    one.write(vec![Update::Touch(team)]).await.unwrap();
    let member = Touched::Resource(people.object("member", "m-1"));
    assert!(listener.heard().contains(&member));
    listener.forget();
    other.write(vec![Update::Touch(nurse.clone())]).await.unwrap();
    let user = Touched::Subject(people.object("user", "u-1"));
    listener.hears(&user).await;
    listener.forget();
    other.write(vec![Update::Delete(nurse)]).await.unwrap();
    listener.hears(&user).await;
}

#[tokio::test]
async fn a_schema_that_changes_may_change_every_answer() {
    let (server, _spicedb, listener) = followed().await;
    listener.forget();
    let wider = format!("{SCHEMA}\ndefinition visitor {{}}\n");
    SpiceDb::connect(&server.options(), &wider).await.unwrap().ensure_schema(true).await.unwrap();
    listener.hears(&Touched::Everything).await;
    listener.knows().await;
}

/// As a newer version may have it: those who treat a team's members are others.
fn newer(treats: &str, more: &str) -> String {
    let (before, after) = SCHEMA.split_once("\tpermission treats = lead + member + covering\n").expect("a care team's");
    format!("{before}{treats}\n{after}\n{more}\n")
}

/// What a change touches under another schema, this version can't tell.
#[tokio::test]
async fn under_another_schema_nothing_is_kept_until_it_is_ours_again() {
    let (server, ours, listener) = followed().await;
    let people = People::new();
    people.grant(&ours).await;
    let stricter = newer("\tpermission treats = lead + covering", "");
    let other = SpiceDb::connect(&server.options(), &stricter).await.unwrap();
    other.ensure_schema(true).await.unwrap();
    listener.loses_track().await;
    let deciding = Deciding::over(SpiceDb::connect(&following(server.options()), SCHEMA).await.unwrap());
    assert_eq!(people.sees(&deciding.access).await, Some(false), "a member of the team treats nobody");
    ours.ensure_schema(true).await.unwrap();
    listener.knows().await;
    deciding.keeps(&people).await;

    let practice = "definition practice {\n\trelation nurse: user\n}";
    let wider = "\trelation practice: practice\n\tpermission treats = lead + member + covering + practice->nurse";
    let other = SpiceDb::connect(&server.options(), &newer(wider, practice)).await.unwrap();
    other.ensure_schema(true).await.unwrap();
    listener.loses_track().await;
    let [_, nurse] = people.care();
    let nurse_of_practice = people.relationship(("practice", "p-1"), "nurse", ("user", "u-1"));
    let practice = people.relationship(("care_team", "t-1"), "practice", ("practice", "p-1"));
    let moved = [Update::Delete(nurse), Update::Touch(practice), Update::Touch(nurse_of_practice.clone())];
    other.write(moved.into()).await.unwrap();
    listener.forget();
    // More than Watch tells by itself as it begins anew: the last ones it has heard.
    for number in 1..=6 {
        let family = people.relationship(("member", &format!("m-{number}")), "family", ("user", "u-2"));
        other.write(vec![Update::Touch(family)]).await.unwrap();
        listener.hears_more_than(number - 1).await;
    }
    assert_eq!(listener.heard().iter().find(|touched| **touched != Touched::Everything), None);
    assert!(!listener.knows_now());
    deciding.keeps_nothing(&people).await;
    assert_eq!(people.sees(&deciding.access).await, Some(true));
    other.write(vec![Update::Delete(nurse_of_practice)]).await.unwrap();
    assert_eq!(people.sees(&deciding.access).await, Some(false));
}

#[tokio::test]
async fn a_decision_is_kept_while_changes_are_known_and_not_for_longer() {
    let server = OwnServer::start_with(&[HEARTBEAT]).await;
    let spicedb = connect(following(server.options())).await;
    let people = People::new();
    people.grant(&spicedb).await;
    let deciding = Deciding::over(spicedb);
    deciding.keeps(&people).await;
    server.pause();
    let began = Instant::now();
    while people.sees(&deciding.access).await.is_some() {
        assert!(began.elapsed() < PATIENCE, "it is kept for ever");
    }
    assert!(began.elapsed() < BOUND + Duration::from_secs(2), "a decision was used {:?} later", began.elapsed());
    server.go_on();
}

#[tokio::test]
async fn after_a_silence_everything_that_was_kept_is_forgotten() {
    let (server, _spicedb, listener) = followed().await;
    listener.forget();
    server.pause();
    listener.loses_track().await;
    server.go_on();
    listener.knows().await;
    assert!(listener.heard().contains(&Touched::Everything));
}

/// Nothing but Watch can have told it: the bound is far away.
#[tokio::test]
async fn a_grant_that_another_takes_away_ends_as_soon_as_it_is_told() {
    let far = Duration::from_secs(40);
    let other = super::connect().await;
    let following = super::connect_with(|options| SpiceDbOptions { max_staleness: far, ..options }).await;
    let deciding = Deciding::over(following);
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let people = People::new();
        people.grant(&other).await;
        deciding.keeps(&people).await;
        let [_, nurse] = people.care();
        other.write(vec![Update::Delete(nurse)]).await.unwrap();
        let revoked = Instant::now();
        while people.sees(&deciding.access).await != Some(false) {
            assert!(revoked.elapsed() < far / 4, "it is still used");
            tokio::task::yield_now().await;
        }
        slowest = slowest.max(revoked.elapsed());
    }
    println!("each of 10 revocations was heeded within {slowest:?}");
}

/// Watch never tells it, and the bound is far away: the answer itself said until when it holds.
#[tokio::test]
async fn a_grant_that_expires_is_used_until_its_instant_and_no_longer() {
    let server = OwnServer::start_with(&[HEARTBEAT]).await;
    let following = connect(SpiceDbOptions { max_staleness: Duration::from_secs(40), ..server.options() }).await;
    let (deciding, people) = (Deciding::over(following), People::new());
    while !deciding.relationships.spicedb.knows_expirations() {
        tokio::task::yield_now().await;
    }
    let [team, nurse] = people.care();
    let until = Timestamp::now() + SignedDuration::from_secs(3);
    let updates = [team, Relationship { expires: Some(until), ..nurse }].map(Update::Touch);
    deciding.relationships.write(updates.into()).await.unwrap();
    deciding.keeps(&people).await;
    while people.sees(&deciding.access).await != Some(false) {
        assert!(Timestamp::now() < until + SignedDuration::from_secs(10), "it is still used");
        tokio::task::yield_now().await;
    }
    let late = Timestamp::now().duration_since(until);
    assert!(!late.is_negative(), "it was hers until then");
    println!("a grant was used until {late:#} after its end");
}
