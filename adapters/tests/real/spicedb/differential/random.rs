//! Random relationships that a schema allows, and questions about them.

use std::sync::Arc;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use sluice_schema::ids::TenantId;
use sluice_subscriptions::relationships::{Check, ObjectRef, Relationship, Schema, SubjectRef, Subjects, Update};

const USERS: usize = 3;

/// What is written and asked about.
pub(super) struct World {
    kinds: Vec<Kind>,
    /// Each behind its object's type.
    pub(super) permissions: Vec<(String, String)>,
    /// Objects of one type in a set; organizations are one.
    objects: usize,
    /// Whether types refer to one another in a circle, so that objects must not.
    circular: bool,
}

/// One that may be written, as [`sluice_subscriptions::relationships::Writable`].
struct Kind {
    object_type: String,
    relation: String,
    subject_type: String,
    set: Option<Arc<str>>,
    everybody: bool,
    expiring: bool,
}

impl World {
    pub(super) fn of(schema: &str, circular: bool) -> Self {
        let schema = Schema::parse(schema).unwrap();
        let writable = schema.writable().filter(|one| one.object_type != "gateway");
        let mut kinds: Vec<_> = writable
            .map(|one| Kind {
                object_type: one.object_type.to_owned(),
                relation: one.relation.to_owned(),
                subject_type: one.subject_type.to_owned(),
                set: if let Subjects::Set(name) = one.subject { Some(name.into()) } else { None },
                everybody: one.subject == Subjects::Everybody,
                expiring: one.expiring,
            })
            .collect();
        let name = |kind: &Kind| {
            (
                kind.object_type.clone(),
                kind.relation.clone(),
                kind.subject_type.clone(),
                kind.set.clone(),
                kind.expiring,
            )
        };
        // The order is part of what a seed stands for.
        kinds.sort_by_key(name);
        let permissions = schema.permissions().map(|(object_type, name)| (object_type.to_owned(), name.to_owned()));
        let mut permissions: Vec<_> = permissions.collect();
        permissions.sort();
        Self { kinds, permissions, objects: if circular { 3 } else { 2 }, circular }
    }
}

pub(super) struct Random<'w> {
    world: &'w World,
    rng: Rng,
    tenant: TenantId,
    now: Timestamp,
}

impl<'w> Random<'w> {
    pub(super) fn new(world: &'w World, seed: u64, batch: usize, tenant: &str) -> Self {
        // Apart by more than a step of the generator.
        let seed = seed ^ (batch as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { world, rng: Rng::with_seed(seed), tenant: tenant.parse().unwrap(), now: Timestamp::now() }
    }

    /// What is written at first, and then what some of it is changed to. At most `largest` relationships in each set, so that
    /// one write holds all sets.
    pub(super) fn writes(&mut self, sets: usize, largest: usize) -> [Vec<Update>; 2] {
        let (mut touched, mut changed) = (Vec::new(), Vec::new());
        for set in 0..sets {
            let mut relationships: Vec<Relationship> = Vec::new();
            for _ in 0..self.rng.usize(largest / 2..=largest) {
                let one = self.relationship(set);
                let same = |other: &Relationship| {
                    (&other.resource, &other.relation, &other.subject) == (&one.resource, &one.relation, &one.subject)
                };
                if !relationships.iter().any(same) {
                    relationships.push(one);
                }
            }
            for one in &relationships {
                match self.rng.usize(..12) {
                    0 => changed.push(Update::Delete(Relationship { expires: None, ..one.clone() })),
                    1 if one.expires.is_some() => {
                        changed.push(Update::Touch(Relationship { expires: self.expires(1), ..one.clone() }));
                    }
                    _ => {}
                }
            }
            touched.extend(relationships.into_iter().map(Update::Touch));
        }
        [touched, changed]
    }

    fn relationship(&mut self, set: usize) -> Relationship {
        loop {
            let kind = &self.world.kinds[self.rng.usize(..self.world.kinds.len())];
            let (resource, subject) = (self.number(&kind.object_type), self.number(&kind.subject_type));
            // An object refers to those before it only: no circle.
            if self.world.circular && kind.subject_type != "user" && subject >= resource {
                continue;
            }
            let object = if kind.everybody {
                ObjectRef { object_type: kind.subject_type.as_str().into(), id: "*".into() }
            } else {
                self.numbered(&kind.subject_type, set, subject)
            };
            return Relationship {
                resource: self.numbered(&kind.object_type, set, resource),
                relation: kind.relation.as_str().into(),
                subject: SubjectRef { object, relation: kind.set.clone() },
                expires: if kind.expiring { self.expires(2) } else { None },
            };
        }
    }

    /// Well clear of now, to either side; twice as often ahead as behind for 2.
    fn expires(&mut self, ahead: usize) -> Option<Timestamp> {
        let away = SignedDuration::from_hours(self.rng.i64(2..1000)) + SignedDuration::from_nanos(self.rng.i64(..1000));
        Some(if self.rng.usize(..=ahead) > 0 { self.now + away } else { self.now - away })
    }

    fn number(&mut self, object_type: &str) -> usize {
        match object_type {
            "user" => self.rng.usize(..USERS),
            "organization" => 0,
            _ => self.rng.usize(..self.world.objects),
        }
    }

    fn numbered(&self, object_type: &str, set: usize, number: usize) -> ObjectRef {
        // Users are of all sets.
        let id = if object_type == "user" { format!("u-{number}") } else { format!("{number}-{set}") };
        ObjectRef::new(object_type, &self.tenant, &id)
    }

    /// Every permission of one object of each set for two users. The user changes with the permission and not with the set, so
    /// that SpiceDB also answers for many objects at once.
    pub(super) fn checks(&mut self, sets: usize) -> Vec<Check> {
        let mut checks = Vec::new();
        for (object_type, permission) in &self.world.permissions {
            for _ in 0..2 {
                let user = self.number("user");
                let subject = self.numbered("user", 0, user);
                for set in 0..sets {
                    let number = self.number(object_type);
                    let resource = self.numbered(object_type, set, number);
                    checks.push(Check { resource, permission: permission.as_str().into(), subject: subject.clone() });
                }
            }
        }
        checks
    }
}
