//! What was written, for those who keep answers.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use super::{ObjectRef, Relationship, Schema, Update};

/// The type whose objects decisions are kept about.
pub(crate) const MEMBER: &str = "member";

/// Whose answers a change may alter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Touched {
    /// Those about one resource.
    Resource(ObjectRef),
    /// Those about one subject.
    Subject(ObjectRef),
    /// All of a tenant.
    Tenant(Arc<str>),
    Everything,
}

/// Keeps answers, and gives up those that may have changed.
pub trait Heed: Send + Sync {
    /// Answers to questions that were asked before this call ended may be old.
    fn touched(&self, touched: &[Touched]);

    /// Until then every change will have been told no later than the bound allows; after it, answers that were kept are of
    /// no use until more is told. `None`: as of now.
    fn known_until(&self, until: Option<Instant>);
}

/// Those who heed one source of relationships.
#[derive(Default)]
pub(super) struct Heeding(Mutex<Vec<Weak<dyn Heed>>>);

impl Heeding {
    fn all(&self) -> MutexGuard<'_, Vec<Weak<dyn Heed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, heed: Weak<dyn Heed>) {
        self.all().push(heed);
    }

    pub(super) fn tell(&self, touched: &[Touched]) {
        self.all().retain(|heed| heed.upgrade().map(|heed| heed.touched(touched)).is_some());
    }
}

impl Schema {
    /// Whose answers a write may alter, for each of its updates.
    pub fn touched_by_all(&self, updates: &[Update]) -> Vec<Touched> {
        let of = |update: &Update| match update {
            Update::Touch(relationship) | Update::Delete(relationship) => self.touched_by(relationship),
        };
        updates.iter().map(of).collect()
    }

    /// Whether an object is one of a type that has no relations of its own: a user.
    pub fn is_person(&self, object: &ObjectRef) -> bool {
        self.is_bare(&object.object_type)
    }

    /// Whose answers about members depend on a relationship, as precisely as the schema allows:
    ///
    /// - where no path leads from a member to the resource's type, only answers about the resource itself;
    /// - where the subject is one of a type that has no relations of its own (a user), only her own answers change;
    /// - otherwise anybody's of the tenant.
    pub fn touched_by(&self, relationship: &Relationship) -> Touched {
        let Relationship { resource, subject, .. } = relationship;
        if !self.is_below_members(&resource.object_type) {
            Touched::Resource(resource.clone())
        } else if subject.relation.is_none() && &*subject.object.id != "*" && self.is_bare(&subject.object.object_type)
        {
            Touched::Subject(subject.object.clone())
        } else {
            resource.id.split_once('/').map_or(Touched::Everything, |(tenant, _)| Touched::Tenant(tenant.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relationships::{SCHEMA, SubjectRef};

    fn touched(resource: (&str, &str), relation: &str, subject: (&str, &str, Option<&str>)) -> Touched {
        let object = |(object_type, id): (&str, &str)| ObjectRef { object_type: object_type.into(), id: id.into() };
        let relationship = Relationship {
            resource: object(resource),
            relation: relation.into(),
            subject: SubjectRef { object: object((subject.0, subject.1)), relation: subject.2.map(Into::into) },
            expires: None,
        };
        Schema::parse(SCHEMA).expect("parses").touched_by(&relationship)
    }

    #[test]
    fn a_change_touches_no_more_than_it_can_alter() {
        let member = ("member", "acme/m-1");
        let only_she = Touched::Resource(ObjectRef { object_type: "member".into(), id: "acme/m-1".into() });
        assert_eq!(touched(member, "guardian", ("user", "acme/u-1", None)), only_she);
        assert_eq!(touched(member, "care_team", ("care_team", "acme/t-1", None)), only_she);
        let nurse = Touched::Subject(ObjectRef { object_type: "user".into(), id: "acme/u-1".into() });
        assert_eq!(touched(("care_team", "acme/t-1"), "member", ("user", "acme/u-1", None)), nurse);
        assert_eq!(touched(("organization", "acme/o-1"), "billing", ("user", "acme/u-1", None)), nurse);
        let team = touched(("care_team", "acme/t-1"), "organization", ("organization", "acme/o-1", None));
        assert_eq!(team, Touched::Tenant("acme".into()));
        assert_eq!(touched(("care_team", "acme/t-1"), "member", ("user", "*", None)), Touched::Tenant("acme".into()));
        assert_eq!(touched(("care_team", "t-1"), "organization", ("organization", "o", None)), Touched::Everything);
        // What leads to members, and is led to by none, is nobody else's.
        let task = Touched::Resource(ObjectRef { object_type: "task".into(), id: "acme/k-1".into() });
        assert_eq!(touched(("task", "acme/k-1"), "assignee", ("user", "acme/u-1", None)), task);
        let participant = touched(("encounter", "acme/e-1"), "participant", ("user", "acme/u-1", None));
        assert_eq!(participant, nurse);
    }
}
