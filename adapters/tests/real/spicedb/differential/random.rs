//! Random relationships and questions about them.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use sluice_schema::ids::TenantId;
use sluice_subscriptions::relationships::{Check, ObjectRef, Relationship, SubjectRef, Update};

pub(super) const MEMBER_PERMISSIONS: [&str; 13] = [
    "see_as_member",
    "see_as_family",
    "see_as_care_team_for_treatment",
    "see_as_staff_for_payment",
    "see_as_staff_for_operations",
    "see_behavioral_health",
    "see_reproductive",
    "see_behavioral_health_for_treatment",
    "see_reproductive_for_treatment",
    "see_substance_use",
    "see_hiv",
    "see_genetic",
    "request_eligibility_check",
];

/// Those of other definitions, each with its own.
pub(super) const OTHER_PERMISSIONS: [(&str, &str); 2] = [("care_team", "treats"), ("tenant", "revoke_tokens")];

const CONSENTS: [&str; 5] =
    ["consent_behavioral_health", "consent_substance_use", "consent_hiv", "consent_reproductive", "consent_genetic"];

const USERS: usize = 3;
const OBJECTS: usize = 2;

pub(super) struct Random {
    rng: Rng,
    tenant: TenantId,
    now: Timestamp,
}

impl Random {
    pub(super) fn new(seed: u64, batch: usize, tenant: &str) -> Self {
        // Apart by more than a step of the generator.
        let seed = seed ^ (batch as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { rng: Rng::with_seed(seed), tenant: tenant.parse().unwrap(), now: Timestamp::now() }
    }

    /// What is written at first, and then what some of it is changed to.
    pub(super) fn writes(&mut self, sets: usize) -> [Vec<Update>; 2] {
        let (mut touched, mut changed) = (Vec::new(), Vec::new());
        for set in 0..sets {
            let mut relationships: Vec<Relationship> = Vec::new();
            // At most what one write holds, for all sets together.
            for _ in 0..self.rng.usize(4..=10) {
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
        match self.rng.usize(..21) {
            0..=2 => {
                let relation = ["billing", "operations", "member"][self.rng.usize(..3)];
                self.user_in("organization", set, relation, 0)
            }
            3 | 4 => self.user_in("care_team", set, "lead", 0),
            5 | 6 => self.user_in("care_team", set, "member", 2),
            7 => self.object_in("care_team", set, "organization", "organization", 0),
            8 | 9 => self.object_in("member", set, "organization", "organization", 0),
            10 | 11 => self.object_in("member", set, "care_team", "care_team", 2),
            12 => self.user_in("member", set, "self", 0),
            13 => self.user_in("member", set, "guardian", 2),
            14 => self.user_in("member", set, "family", 2),
            15 => self.user_in("member", set, "blocked", 0),
            16 => self.user_in("tenant", set, "security", 0),
            _ => self.consent(set),
        }
    }

    fn consent(&mut self, set: usize) -> Relationship {
        let relation = CONSENTS[self.rng.usize(..CONSENTS.len())];
        if self.rng.bool() {
            return self.user_in("member", set, relation, 2);
        }
        let mut consent = self.object_in("member", set, relation, "care_team", 2);
        consent.subject.relation = Some("treats".into());
        consent
    }

    fn user_in(&mut self, object_type: &str, set: usize, relation: &str, expiring: usize) -> Relationship {
        let user = self.user();
        self.of(object_type, set, relation, user, expiring)
    }

    fn object_in(
        &mut self,
        object_type: &str,
        set: usize,
        relation: &str,
        subject_type: &str,
        expiring: usize,
    ) -> Relationship {
        let subject = self.object(subject_type, set);
        self.of(object_type, set, relation, subject, expiring)
    }

    fn of(
        &mut self,
        object_type: &str,
        set: usize,
        relation: &str,
        subject: ObjectRef,
        expiring: usize,
    ) -> Relationship {
        Relationship {
            resource: self.object(object_type, set),
            relation: relation.into(),
            subject: SubjectRef { object: subject, relation: None },
            expires: if expiring > 0 && self.rng.bool() { self.expires(expiring) } else { None },
        }
    }

    /// Well clear of now, to either side; twice as often ahead as behind for 2.
    fn expires(&mut self, ahead: usize) -> Option<Timestamp> {
        let away = SignedDuration::from_hours(self.rng.i64(2..1000)) + SignedDuration::from_nanos(self.rng.i64(..1000));
        Some(if self.rng.usize(..=ahead) > 0 { self.now + away } else { self.now - away })
    }

    fn object(&mut self, object_type: &str, set: usize) -> ObjectRef {
        let number = if matches!(object_type, "organization" | "tenant") { 0 } else { self.rng.usize(..OBJECTS) };
        self.numbered(object_type, set, number)
    }

    fn numbered(&self, object_type: &str, set: usize, number: usize) -> ObjectRef {
        ObjectRef::new(object_type, &self.tenant, &format!("{number}-{set}"))
    }

    fn user(&mut self) -> ObjectRef {
        ObjectRef::new("user", &self.tenant, &format!("u-{}", self.rng.usize(..USERS)))
    }

    /// Every permission of one member of each set for one user, and of one of its teams and tenants. The user changes
    /// with the permission and not with the set, so that SpiceDB also answers for many members at once.
    pub(super) fn checks(&mut self, sets: usize) -> Vec<Check> {
        let mut checks = Vec::new();
        let of_members = MEMBER_PERMISSIONS.map(|permission| ("member", permission));
        for (object_type, permission) in of_members.into_iter().chain(OTHER_PERMISSIONS) {
            for subject in [self.user(), self.user()] {
                for set in 0..sets {
                    let resource = self.object(object_type, set);
                    checks.push(Check { resource, permission: permission.into(), subject: subject.clone() });
                }
            }
        }
        checks
    }
}
