//! The instant at which a relationship expires, in both.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use sluice_schema::ids::TenantId;
use sluice_subscriptions::relationships::{
    Check, Consistency, Embedded, NoJournal, ObjectRef, Relationship, Relationships, SCHEMA, SubjectRef, Update,
};
use tokio::time::{Instant, sleep_until};

/// How far the clocks of the datastore and of this process may be apart, and how long a check may take.
const SLACK: Duration = Duration::from_millis(700);
const LIFETIME: Duration = Duration::from_millis(2000);

#[tokio::test]
async fn a_grant_ends_at_its_instant_in_both() {
    let spicedb = super::connect().await;
    let embedded = Embedded::open(SCHEMA, NoJournal, Arc::new(Timestamp::now)).await.unwrap();
    let tenant: TenantId = format!("expiry-{}", fastrand::u64(..)).parse().unwrap();
    let (member, user) = (ObjectRef::new("member", &tenant, "m-1"), ObjectRef::new("user", &tenant, "u-1"));
    let began = Instant::now();
    let expires = Timestamp::now() + SignedDuration::try_from(LIFETIME).unwrap();
    let grant = Relationship {
        resource: member.clone(),
        relation: "guardian".into(),
        subject: SubjectRef { object: user.clone(), relation: None },
        expires: Some(expires),
    };
    let checks = [Check { resource: member, permission: "see_coverage_as_family".into(), subject: user }];
    for port in [&spicedb as &dyn Relationships, &embedded] {
        port.write(vec![Update::Touch(grant.clone())]).await.unwrap();
    }
    for (at, allowed) in [(LIFETIME - SLACK, true), (LIFETIME + SLACK, false)] {
        sleep_until(began + at).await;
        for port in [&spicedb as &dyn Relationships, &embedded] {
            let answer = port.check_many(Consistency::Full, &checks).await.unwrap().allowed;
            assert_eq!(answer, [allowed], "after {at:?} of {LIFETIME:?}");
        }
    }
}
