use sluice_subscriptions::relationships::{Journal, ObjectRef, Relationship, RelationshipsError, SubjectRef, Update};

use super::{SCHEMA, SqliteJournal};
use crate::sqlite::test_support::Home;

async fn open(home: &Home) -> SqliteJournal {
    SqliteJournal::open(&home.data).await.unwrap()
}

fn relationship(subject: &str, relation: Option<&str>, expires: Option<&str>) -> Relationship {
    let tenant = "acme".parse().unwrap();
    Relationship {
        resource: ObjectRef::new("member", &tenant, "m-1"),
        relation: "guardian".into(),
        subject: SubjectRef { object: ObjectRef::new("user", &tenant, subject), relation: relation.map(Into::into) },
        expires: expires.map(|expires| expires.parse().unwrap()),
    }
}

async fn stored(journal: &SqliteJournal) -> Vec<Relationship> {
    let mut all = journal.load().await.unwrap().0;
    all.sort_by(|one, other| one.subject.cmp(&other.subject));
    all
}

#[tokio::test]
async fn an_empty_one_is_at_revision_0() {
    let home = Home::new();
    assert_eq!(open(&home).await.load().await.unwrap(), (Vec::new(), 0));
}

#[tokio::test]
async fn what_was_appended_survives_a_crash() {
    let home = Home::new();
    let journal = open(&home).await;
    let ada = relationship("ada", None, Some("2030-01-02T03:04:05.123456789Z"));
    let team = relationship("team", Some("member"), None);
    let bob = relationship("bob", None, None);
    journal.append(1, &[Update::Touch(ada.clone()), Update::Touch(bob.clone())]).await.unwrap();
    journal.append(2, &[Update::Touch(team.clone()), Update::Delete(bob)]).await.unwrap();
    journal.append(3, &[]).await.unwrap();
    let crashed = home.after_crash(SCHEMA.file);
    let left = open(&crashed).await;
    assert_eq!(stored(&left).await, [ada, team]);
    assert_eq!(left.load().await.unwrap().1, 3);
}

#[tokio::test]
async fn a_touch_changes_the_expiration_and_nothing_else_tells_two_apart() {
    let home = Home::new();
    let journal = open(&home).await;
    let (plain, expiring) = (relationship("ada", None, None), relationship("ada", None, Some("2030-01-01T00:00:00Z")));
    let set = relationship("ada", Some("self"), None);
    journal.append(1, &[Update::Touch(plain.clone()), Update::Touch(set.clone())]).await.unwrap();
    journal.append(2, &[Update::Touch(expiring.clone())]).await.unwrap();
    assert_eq!(stored(&journal).await, [expiring, set.clone()]);
    journal.append(3, &[Update::Delete(plain)]).await.unwrap();
    assert_eq!(stored(&journal).await, [set]);
}

#[tokio::test]
async fn a_revision_out_of_turn_is_refused_whole() {
    let home = Home::new();
    let journal = open(&home).await;
    journal.append(1, &[]).await.unwrap();
    for revision in [0, 1, 3] {
        let refused = journal.append(revision, &[Update::Touch(relationship("ada", None, None))]).await;
        assert!(matches!(refused, Err(RelationshipsError::Invalid(_))), "{refused:?}");
    }
    assert_eq!(journal.load().await.unwrap(), (Vec::new(), 1));
}
