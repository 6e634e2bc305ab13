//! Relationships in memory, found by resource and relation.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::{ObjectRef, Relationship, SubjectRef, Update};

/// A set of relationships; one for each (resource, relation, subject).
#[derive(Debug, Clone, Default)]
pub struct Tuples {
    resources: HashMap<ObjectRef, HashMap<Arc<str>, Subjects>>,
}

/// Sorted, so that equal sets are always walked alike.
type Subjects = BTreeMap<SubjectRef, Option<Timestamp>>;

/// Whether a relationship still counts: it is absent from its instant on.
fn counts(expires: Option<Timestamp>, now: Timestamp) -> bool {
    expires.is_none_or(|instant| now < instant)
}

impl Tuples {
    /// What has expired by `now` in the relation that is touched is dropped, so that coverings which come and go don't
    /// pile up.
    pub fn apply(&mut self, update: Update, now: Timestamp) {
        match update {
            Update::Touch(Relationship { resource, relation, subject, expires }) => {
                let subjects = self.resources.entry(resource).or_default().entry(relation).or_default();
                subjects.retain(|_, expires| counts(*expires, now));
                subjects.insert(subject, expires);
            }
            Update::Delete(Relationship { resource, relation, subject, .. }) => {
                self.delete(&resource, &relation, &subject);
            }
        }
    }

    fn delete(&mut self, resource: &ObjectRef, relation: &str, subject: &SubjectRef) {
        let Some(relations) = self.resources.get_mut(resource) else { return };
        let Some(subjects) = relations.get_mut(relation) else { return };
        subjects.remove(subject);
        if subjects.is_empty() {
            relations.remove(relation);
        }
        if relations.is_empty() {
            self.resources.remove(resource);
        }
    }

    /// The expiration of a relationship that counts, if it has one; `None` where there is no such relationship.
    pub(super) fn find(
        &self,
        resource: &ObjectRef,
        relation: &str,
        subject: &SubjectRef,
        now: Timestamp,
    ) -> Option<Option<Timestamp>> {
        let subjects = self.resources.get(resource).and_then(|relations| relations.get(relation));
        subjects.and_then(|subjects| subjects.get(subject)).copied().filter(|expires| counts(*expires, now))
    }

    /// The subjects of a relation that count, and until when.
    pub(super) fn subjects(
        &self,
        resource: &ObjectRef,
        relation: &str,
        now: Timestamp,
    ) -> impl Iterator<Item = (&SubjectRef, Option<Timestamp>)> {
        let subjects = self.resources.get(resource).and_then(|relations| relations.get(relation));
        let of_relation = subjects.into_iter().flatten().map(|(subject, expires)| (subject, *expires));
        of_relation.filter(move |(_, expires)| counts(*expires, now))
    }

    /// The relationships of a resource that count.
    pub(super) fn of(&self, resource: &ObjectRef, now: Timestamp) -> Vec<Relationship> {
        let mut found = Vec::new();
        for (relation, subjects) in self.resources.get(resource).into_iter().flatten() {
            let live = subjects.iter().filter(|(_, expires)| counts(**expires, now));
            found.extend(live.map(|(subject, expires)| Relationship {
                resource: resource.clone(),
                relation: relation.clone(),
                subject: subject.clone(),
                expires: *expires,
            }));
        }
        found
    }
}
