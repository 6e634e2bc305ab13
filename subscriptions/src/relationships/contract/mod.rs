//! The contract of [`Relationships`], run against every implementation.
//!
//! `relationships_contract!(open)` makes a test of each function here, where `async fn open(schema: &str) -> impl
//! Relationships` gives relationships under that schema. The store behind need not be empty: each test works in
//! tenants of its own. The clock may be a real one: expirations lie far in the past or the future.

#![allow(clippy::unwrap_used, reason = "a test suite")]

mod world;

use world::{World, assert_invalid, delete, everybody, future, past, question, touch, touch_set, until};

use super::{Consistency, ObjectRef, Relationship, Relationships, RelationshipsError, Update};

/// The schema that the suite runs under.
pub const SCHEMA: &str = r"
use expiration

definition user {}

definition gateway {
	relation beat: gateway with expiration
}

definition group {
	relation member: user | user with expiration | group#member
	relation owner: user
	permission everyone = member + owner
}

definition folder {
	relation viewer: user | group#member
	permission view = viewer
}

definition document {
	relation parent: folder | group
	relation reader: user | user with expiration | user:* | group#member | group#everyone
	relation guest: user with expiration
	relation signer: user
	relation banned: user | user with expiration

	permission read = (reader + guest + parent->view) - banned
	permission look = parent.any(view)
	permission sign = reader & signer
	permission burn = nil
}
";

/// Makes a `#[tokio::test]` of every test of the contract. The argument is the path of an
/// `async fn(schema: &str) -> impl Relationships`.
#[macro_export]
macro_rules! relationships_contract {
    ($open:path) => {
        $crate::relationships_contract!(@tests $open:
            a_write_is_seen_by_the_next_check,
            at_a_revision_nothing_is_of_another,
            a_write_applies_all_or_nothing,
            a_touch_changes_the_expiration,
            deleting_what_is_absent_is_fine,
            unknown_names_are_invalid_in_checks,
            unknown_names_are_invalid_in_writes,
            subjects_that_a_relation_does_not_allow_are_invalid,
            one_write_names_a_relationship_once,
            a_wildcard_stands_for_everybody,
            a_set_stands_for_its_members,
            an_arrow_walks_to_every_object,
            an_exclusion_is_stronger,
            an_intersection_needs_both,
            nil_is_nobody,
            an_expired_relationship_is_absent,
            a_circle_allows_nobody,
            tenants_never_meet,
            answers_come_in_the_order_of_the_questions,
            reading_gives_what_was_written,
        );
    };
    (@tests $open:path: $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() {
                let relationships = $open($crate::relationships::contract::SCHEMA).await;
                $crate::relationships::contract::$test(&relationships).await;
            }
        )+
    };
}

pub async fn a_write_is_seen_by_the_next_check(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada) = (world.object("document", "d-1"), world.user("ada"));
    assert!(!world.can(&ada, "read", &doc).await);
    let written = world.write([touch(&doc, "reader", &ada)]).await.unwrap();
    assert!(world.can(&ada, "read", &doc).await);
    assert!(world.can(&ada, "reader", &doc).await, "a relation can be checked like a permission");
    assert!(world.can_at(Consistency::AtLeast(written), &ada, "read", &doc).await);
    let deleted = world.write([delete(&doc, "reader", &ada)]).await.unwrap();
    assert!(!world.can(&ada, "read", &doc).await);
    assert!(!world.can_at(Consistency::AtLeast(deleted), &ada, "read", &doc).await);
}

pub async fn at_a_revision_nothing_is_of_another(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada) = (world.object("document", "d-1"), world.user("ada"));
    world.write([touch(&doc, "reader", &ada)]).await.unwrap();
    let checks = [question(&ada, "read", &doc)];
    let before = port.check_many(Consistency::Full, &checks).await.unwrap();
    assert_eq!(before.allowed, [true]);
    let again = port.check_many(Consistency::At(before.revision.clone()), &checks).await.expect("nothing was written");
    assert_eq!(again.allowed, [true]);
    world.write([delete(&doc, "reader", &ada)]).await.unwrap();
    match port.check_many(Consistency::At(before.revision), &checks).await {
        Ok(then) => assert_eq!(then.allowed, [true], "it is of a later one"),
        Err(RelationshipsError::Overtaken) => {}
        Err(other) => panic!("{other}"),
    }
}

pub async fn a_write_applies_all_or_nothing(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada, bob) = (world.object("document", "d-1"), world.user("ada"), world.user("bob"));
    world.write([touch(&doc, "reader", &bob)]).await.unwrap();
    let updates = [touch(&doc, "reader", &ada), delete(&doc, "reader", &bob), touch(&doc, "no_such", &ada)];
    assert_invalid(world.write(updates).await);
    assert!(!world.can(&ada, "read", &doc).await);
    assert!(world.can(&bob, "read", &doc).await);
    world.write([touch(&doc, "reader", &ada), delete(&doc, "reader", &bob)]).await.unwrap();
    assert!(world.can(&ada, "read", &doc).await);
    assert!(!world.can(&bob, "read", &doc).await);
}

pub async fn a_touch_changes_the_expiration(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada) = (world.object("document", "d-1"), world.user("ada"));
    for (expires, allowed) in [(Some(future()), true), (Some(past()), false), (None, true), (Some(past()), false)] {
        world.write([until(&doc, "reader", &ada, expires)]).await.unwrap();
        assert_eq!(world.can(&ada, "read", &doc).await, allowed, "{expires:?}");
    }
    world.write([until(&doc, "reader", &ada, Some(future()))]).await.unwrap();
    let read = world.port.read(&doc).await.unwrap();
    assert_eq!(read.iter().map(|one| one.expires).collect::<Vec<_>>(), [Some(future())]);
    world.write([delete(&doc, "reader", &ada)]).await.expect("a delete need not tell the expiration");
    assert!(!world.can(&ada, "read", &doc).await);
}

pub async fn deleting_what_is_absent_is_fine(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada) = (world.object("document", "d-1"), world.user("ada"));
    world.write([delete(&doc, "reader", &ada)]).await.unwrap();
    world.write([delete(&doc, "reader", &ada), touch(&doc, "signer", &ada)]).await.unwrap();
    assert!(world.can(&ada, "signer", &doc).await);
}

pub async fn unknown_names_are_invalid_in_checks(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada) = (world.object("document", "d-1"), world.user("ada"));
    let good = question(&ada, "read", &doc);
    for bad in [
        question(&ada, "read", &world.object("no_such", "x-1")),
        question(&ada, "no_such", &doc),
        question(&world.object("no_such", "x-1"), "read", &doc),
        question(&ObjectRef { object_type: "user".into(), id: "*".into() }, "read", &doc),
    ] {
        assert_invalid(world.port.check_many(Consistency::Full, &[good.clone(), bad]).await);
    }
    assert_invalid(world.port.read(&world.object("no_such", "x-1")).await);
}

pub async fn unknown_names_are_invalid_in_writes(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada) = (world.object("document", "d-1"), world.user("ada"));
    assert_invalid(world.write([touch(&world.object("no_such", "x-1"), "reader", &ada)]).await);
    assert_invalid(world.write([touch(&doc, "no_such", &ada)]).await);
    assert_invalid(world.write([delete(&doc, "no_such", &ada)]).await);
    assert_invalid(world.write([touch(&doc, "read", &ada)]).await);
    assert_invalid(world.write([touch(&doc, "reader", &world.object("no_such", "x-1"))]).await);
    assert_invalid(world.write([touch_set(&doc, "reader", &world.object("group", "g-1"), "no_such")]).await);
}

pub async fn subjects_that_a_relation_does_not_allow_are_invalid(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada, group) = (world.object("document", "d-1"), world.user("ada"), world.object("group", "g-1"));
    assert_invalid(world.write([touch(&doc, "reader", &world.object("folder", "f-1"))]).await);
    assert_invalid(world.write([touch(&doc, "reader", &group)]).await);
    assert_invalid(world.write([touch_set(&doc, "reader", &group, "owner")]).await);
    assert_invalid(world.write([touch(&doc, "signer", &everybody())]).await);
    assert_invalid(world.write([until(&doc, "signer", &ada, Some(future()))]).await);
    assert_invalid(world.write([until(&doc, "guest", &ada, None)]).await);
    world.write([until(&doc, "guest", &ada, Some(future()))]).await.unwrap();
    assert!(world.can(&ada, "read", &doc).await);
}

pub async fn one_write_names_a_relationship_once(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada) = (world.object("document", "d-1"), world.user("ada"));
    assert_invalid(world.write([touch(&doc, "reader", &ada), delete(&doc, "reader", &ada)]).await);
    assert!(!world.can(&ada, "read", &doc).await);
}

pub async fn a_wildcard_stands_for_everybody(port: &dyn Relationships) {
    let world = World::new(port);
    let (open, shut) = (world.object("document", "d-1"), world.object("document", "d-2"));
    let (ada, bob) = (world.user("ada"), world.user("bob"));
    world.write([touch(&open, "reader", &everybody()), touch(&open, "banned", &bob)]).await.unwrap();
    assert!(world.can(&ada, "read", &open).await);
    assert!(!world.can(&bob, "read", &open).await, "a ban is stronger than everybody");
    assert!(!world.can(&world.object("group", "ada"), "read", &open).await, "everybody is every user, no other type");
    assert!(!world.can(&ada, "read", &shut).await);
    world.write([delete(&open, "reader", &everybody())]).await.unwrap();
    assert!(!world.can(&ada, "read", &open).await);
}

pub async fn a_set_stands_for_its_members(port: &dyn Relationships) {
    let world = World::new(port);
    let (plain, whole) = (world.object("document", "d-1"), world.object("document", "d-2"));
    let (inner, outer) = (world.object("group", "inner"), world.object("group", "outer"));
    let (ada, bob, eve) = (world.user("ada"), world.user("bob"), world.user("eve"));
    let updates = [
        touch(&inner, "member", &ada),
        touch_set(&outer, "member", &inner, "member"),
        touch(&outer, "owner", &bob),
        touch_set(&plain, "reader", &outer, "member"),
        touch_set(&whole, "reader", &outer, "everyone"),
    ];
    world.write(updates).await.unwrap();
    assert!(world.can(&ada, "read", &plain).await, "through two sets");
    assert!(!world.can(&bob, "read", &plain).await, "an owner is no member");
    assert!(world.can(&ada, "read", &whole).await);
    assert!(world.can(&bob, "read", &whole).await, "a set may be a permission");
    assert!(!world.can(&eve, "read", &whole).await);
    assert!(!world.can(&outer, "read", &plain).await, "the group itself is none of its members");
    world.write([delete(&inner, "member", &ada)]).await.unwrap();
    assert!(!world.can(&ada, "read", &plain).await);
}

pub async fn an_arrow_walks_to_every_object(port: &dyn Relationships) {
    let world = World::new(port);
    let doc = world.object("document", "d-1");
    let (left, right) = (world.object("folder", "left"), world.object("folder", "right"));
    let (group, other) = (world.object("group", "g-1"), world.object("folder", "other"));
    let (ada, bob, eve) = (world.user("ada"), world.user("bob"), world.user("eve"));
    let updates = [
        touch(&doc, "parent", &left),
        touch(&doc, "parent", &right),
        touch(&doc, "parent", &group),
        touch(&left, "viewer", &ada),
        touch_set(&right, "viewer", &group, "member"),
        touch(&group, "member", &bob),
        touch(&other, "viewer", &eve),
    ];
    world.write(updates).await.unwrap();
    for permission in ["read", "look"] {
        assert!(world.can(&ada, permission, &doc).await, "{permission}");
        assert!(world.can(&bob, permission, &doc).await, "{permission}, through a set in the folder");
        assert!(!world.can(&eve, permission, &doc).await, "{permission}, of another folder");
    }
}

pub async fn an_exclusion_is_stronger(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada) = (world.object("document", "d-1"), world.user("ada"));
    world.write([touch(&doc, "reader", &ada), touch(&doc, "banned", &ada)]).await.unwrap();
    assert!(!world.can(&ada, "read", &doc).await);
    world.write([until(&doc, "banned", &ada, Some(past()))]).await.unwrap();
    assert!(world.can(&ada, "read", &doc).await, "an expired ban is none");
}

pub async fn an_intersection_needs_both(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada, bob) = (world.object("document", "d-1"), world.user("ada"), world.user("bob"));
    world.write([touch(&doc, "reader", &ada), touch(&doc, "signer", &bob)]).await.unwrap();
    assert!(!world.can(&ada, "sign", &doc).await);
    assert!(!world.can(&bob, "sign", &doc).await);
    world.write([touch(&doc, "signer", &ada)]).await.unwrap();
    assert!(world.can(&ada, "sign", &doc).await);
}

pub async fn nil_is_nobody(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada) = (world.object("document", "d-1"), world.user("ada"));
    world.write([touch(&doc, "reader", &ada), touch(&doc, "reader", &everybody())]).await.unwrap();
    assert!(!world.can(&ada, "burn", &doc).await);
}

pub async fn an_expired_relationship_is_absent(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, group) = (world.object("document", "d-1"), world.object("group", "g-1"));
    let (ada, bob) = (world.user("ada"), world.user("bob"));
    let updates = [
        until(&doc, "reader", &ada, Some(past())),
        touch_set(&doc, "reader", &group, "member"),
        until(&group, "member", &bob, Some(past())),
    ];
    world.write(updates).await.unwrap();
    assert!(!world.can(&ada, "read", &doc).await);
    assert!(!world.can(&bob, "read", &doc).await, "in a set");
    assert_eq!(world.port.read(&group).await.unwrap(), []);
    world.write([until(&group, "member", &bob, Some(future()))]).await.unwrap();
    assert!(world.can(&bob, "read", &doc).await);
}

pub async fn a_circle_allows_nobody(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, one, two) = (world.object("document", "d-1"), world.object("group", "one"), world.object("group", "two"));
    let updates = [
        touch_set(&one, "member", &two, "member"),
        touch_set(&two, "member", &one, "member"),
        touch_set(&doc, "reader", &one, "member"),
    ];
    world.write(updates).await.unwrap();
    let asked = [question(&world.user("eve"), "read", &doc)];
    match world.port.check_many(Consistency::Full, &asked).await {
        Ok(checked) => assert_eq!(checked.allowed, [false]),
        Err(error) => assert!(matches!(error, RelationshipsError::Unavailable(_)), "{error}"),
    }
}

pub async fn tenants_never_meet(port: &dyn Relationships) {
    let (here, there) = (World::new(port), World::new(port));
    let ours = (here.object("document", "d-1"), here.object("group", "g-1"), here.user("ada"));
    let theirs = (there.object("document", "d-1"), there.object("group", "g-1"), there.user("ada"));
    here.write([touch(&ours.1, "member", &ours.2), touch_set(&ours.0, "reader", &ours.1, "member")]).await.unwrap();
    assert!(here.can(&ours.2, "read", &ours.0).await);
    assert!(!here.can(&theirs.2, "read", &ours.0).await);
    assert!(!here.can(&ours.2, "read", &theirs.0).await);
    assert!(!here.can(&theirs.2, "read", &theirs.0).await);
    assert_eq!(port.read(&theirs.0).await.unwrap(), []);
    assert_invalid(here.write([touch(&ours.0, "reader", &theirs.2)]).await);
    assert_invalid(here.write([touch_set(&ours.0, "reader", &theirs.1, "member")]).await);
    assert!(!here.can(&theirs.2, "read", &ours.0).await);
}

pub async fn answers_come_in_the_order_of_the_questions(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, ada, bob) = (world.object("document", "d-1"), world.user("ada"), world.user("bob"));
    world.write([touch(&doc, "reader", &ada), touch(&doc, "signer", &ada), touch(&doc, "signer", &bob)]).await.unwrap();
    let asked = [
        question(&bob, "read", &doc),
        question(&ada, "read", &doc),
        question(&ada, "sign", &doc),
        question(&bob, "signer", &doc),
        question(&ada, "burn", &doc),
        question(&ada, "read", &doc),
    ];
    let checked = port.check_many(Consistency::Full, &asked).await.unwrap();
    assert_eq!(checked.allowed, [false, true, true, true, false, true]);
    assert!(world.can_at(Consistency::AtLeast(checked.revision), &ada, "read", &doc).await);
    assert_eq!(port.check_many(Consistency::Full, &[]).await.unwrap().allowed, [false; 0]);
}

pub async fn reading_gives_what_was_written(port: &dyn Relationships) {
    let world = World::new(port);
    let (doc, group, ada) = (world.object("document", "d-1"), world.object("group", "g-1"), world.user("ada"));
    let updates = [
        touch(&doc, "signer", &ada),
        until(&doc, "guest", &ada, Some(future())),
        touch_set(&doc, "reader", &group, "everyone"),
        touch(&doc, "reader", &everybody()),
        touch(&world.object("document", "d-2"), "signer", &ada),
    ];
    world.write(updates.clone()).await.unwrap();
    let key = |one: &Relationship| (one.relation.clone(), one.subject.clone());
    let mut read = port.read(&doc).await.unwrap();
    read.sort_by_key(key);
    let mut written: Vec<_> =
        updates.into_iter().take(4).map(|(Update::Touch(one) | Update::Delete(one))| one).collect();
    written.sort_by_key(key);
    assert_eq!(read, written);
}
