//! The smallest set of relationships on which the two still differ.

use jiff::Timestamp;
use sluice_schema::ids::TenantId;
use sluice_subscriptions::relationships::{
    Check, Consistency, ObjectRef, Relationship, Relationships, SubjectRef, Update,
};

use super::{embedded, joined, set_of};

/// Leaves out one update after another for as long as the difference stays, each time in a tenant of its own.
pub(super) async fn shrink(
    schema: &str,
    spicedb: &dyn Relationships,
    writes: &[Vec<Update>],
    check: &Check,
) -> Vec<Update> {
    let of_the_set = |update: &Update| relationship(update).resource.id.rsplit('-').next() == Some(set_of(check));
    let mut left: Vec<_> = joined(writes).into_iter().filter(of_the_set).collect();
    let mut place = 0;
    while place < left.len() {
        let mut fewer = left.clone();
        fewer.remove(place);
        if differ(schema, spicedb, &fewer, check).await {
            left = fewer;
        } else {
            place += 1;
        }
    }
    left
}

async fn differ(schema: &str, spicedb: &dyn Relationships, updates: &[Update], check: &Check) -> bool {
    let tenant: TenantId = format!("shrunk-{}", Timestamp::now().as_nanosecond()).parse().unwrap();
    let embedded = embedded(schema).await;
    for update in updates {
        let update = moved_update(&tenant, update);
        embedded.write(vec![update.clone()]).await.unwrap();
        spicedb.write(vec![update]).await.unwrap();
    }
    let (resource, subject) = (moved(&tenant, &check.resource), moved(&tenant, &check.subject));
    let checks = [Check { resource, permission: check.permission.clone(), subject }];
    let expected = embedded.check_many(Consistency::Full, &checks).await.unwrap().allowed;
    expected != spicedb.check_many(Consistency::Full, &checks).await.unwrap().allowed
}

fn moved_update(tenant: &TenantId, update: &Update) -> Update {
    let one = relationship(update);
    let subject = SubjectRef { object: moved(tenant, &one.subject.object), relation: one.subject.relation.clone() };
    let one = Relationship { resource: moved(tenant, &one.resource), subject, ..one.clone() };
    match update {
        Update::Touch(_) => Update::Touch(one),
        Update::Delete(_) => Update::Delete(one),
    }
}

fn moved(tenant: &TenantId, object: &ObjectRef) -> ObjectRef {
    if &*object.id == "*" {
        return object.clone();
    }
    let id = object.id.split_once('/').map_or(&*object.id, |(_, id)| id);
    ObjectRef::new(&object.object_type, tenant, id)
}

fn relationship(update: &Update) -> &Relationship {
    let (Update::Touch(one) | Update::Delete(one)) = update;
    one
}
