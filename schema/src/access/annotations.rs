//! The labels of every field of every event, read from the descriptors when the crate is built.

use prost::Message;

use super::{Label, Mask, Sensitivities, Visibilities};
use crate::proto as pb;

/// The labels of one message.
#[derive(Debug)]
pub struct MessageTable {
    /// Full name: `sluice.eligibility.v1.EligibilityCheck`.
    pub name: &'static str,
    /// The GraphQL type that mirrors it.
    pub graphql_type: &'static str,
    /// Who may see an event or entity of this type at all; nobody for a part.
    pub label: Label,
    pub fields: &'static [FieldEntry],
}

#[derive(Debug)]
pub struct FieldEntry {
    /// As in the proto file.
    pub name: &'static str,
    /// In lowerCamelCase: the name in JSON and in GraphQL.
    pub json_name: &'static str,
    pub label: Label,
    /// A value of `sluice.privacy.v1.SafeHarbor`; 0 is no identifier.
    pub safe_harbor: i32,
    /// The labels of a message-typed field's message.
    pub message: Option<&'static MessageTable>,
    /// For a list of paths: the message that they lead into.
    pub paths_into: Option<&'static MessageTable>,
}

impl MessageTable {
    pub fn field(&self, name: &str) -> Option<&'static FieldEntry> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether everything along a path of proto field names ("coverage.active") may be seen. A path that leads nowhere
    /// may not.
    pub fn shows_path(&'static self, path: &str, mask: Mask) -> bool {
        let mut table = Some(self);
        path.split('.').all(|name| {
            let field = table.and_then(|table| table.field(name));
            table = field.and_then(|field| field.message);
            field.is_some_and(|field| mask.sees(field.label))
        })
    }
}

/// The table of a message by its full name.
pub fn table(name: &str) -> Option<&'static MessageTable> {
    MESSAGES.iter().find(|table| table.name == name).copied()
}

/// Takes out of a value what a mask does not open, before anything renders it.
pub trait Redact {
    fn redact(&mut self, mask: Mask);
}

include!(concat!(env!("OUT_DIR"), "/annotations.rs"));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{eligibility as pb, privacy::Visibility};

    fn mask(visibility: Visibility) -> Mask {
        Mask { visibilities: Visibilities::of(visibility), sensitivities: Sensitivities::NORMAL }
    }

    fn check() -> pb::EligibilityCheck {
        pb::EligibilityCheck {
            id: "ec-1".into(),
            subscriber: Some(pb::Subscriber {
                member_id: Some("XZY-1".into()),
                first_name: Some("Ada".into()),
                date_of_birth: Some("1980-01-01".into()),
                ..Default::default()
            }),
            coverage: Some(pb::Coverage {
                active: Some(true),
                deductibles: vec![pb::CostShare { amount: Some("100".into()), ..Default::default() }],
                behavioral_health_benefits: vec![pb::Benefit::default()],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn what_happened_is_named_for_logs_and_not_shown() {
        let changed = pb::EligibilityCheckChanged { after: Some(check()), ..Default::default() };
        let payload = Payload::EligibilityCheckChanged(Box::new(changed));
        assert_eq!(format!("{payload:?} {payload:#?}"), "EligibilityCheckChanged(…) EligibilityCheckChanged(…)");
    }

    #[test]
    fn redaction_takes_out_what_the_mask_does_not_open_at_every_depth() {
        let mut seen = check();
        seen.redact(mask(Visibility::CareTeam));
        let subscriber = seen.subscriber.expect("the care team sees who it is");
        assert_eq!(subscriber.member_id, None, "the card number is for the member and staff");
        assert_eq!(subscriber.first_name.as_deref(), Some("Ada"));
        let coverage = seen.coverage.expect("the care team sees the coverage");
        assert_eq!(coverage.active, Some(true));
        assert!(coverage.deductibles.is_empty(), "money is not the care team's");
        assert!(coverage.behavioral_health_benefits.is_empty(), "the class was not opened");
    }

    #[test]
    fn a_mask_that_opens_nothing_leaves_nothing() {
        let mut seen = check();
        seen.redact(Mask::NOTHING);
        assert_eq!(seen, pb::EligibilityCheck::default());
    }

    #[test]
    fn a_changed_path_is_held_back_with_what_it_names() {
        let paths =
            ["state", "coverage.active", "coverage.behavioral_health_benefits", "subscriber.member_id", "no.such"];
        let mut changed = pb::EligibilityCheckChanged {
            changed: paths.map(str::to_owned).into(),
            after: Some(check()),
            before: Some(check()),
        };
        changed.redact(mask(Visibility::CareTeam));
        assert_eq!(changed.changed, ["state", "coverage.active"]);
        assert_eq!(changed.before, changed.after, "both sides are redacted");
    }

    #[test]
    fn every_field_of_every_message_has_a_label_that_somebody_may_open() {
        for table in MESSAGES {
            for field in table.fields {
                assert!(
                    !field.label.visibilities.is_empty(),
                    "{}.{}: INTERNAL fields do not belong into events",
                    table.name,
                    field.name
                );
            }
        }
    }

    #[test]
    fn a_payload_survives_its_bytes() {
        let payload = Payload::EligibilityCheckChanged(Box::new(pb::EligibilityCheckChanged {
            after: Some(check()),
            ..Default::default()
        }));
        let decoded = Payload::decode(payload.table().name, &payload.encode()).expect("decodes");
        assert_eq!(decoded, Some(payload));
        assert_eq!(Payload::decode("sluice.unknown.v1.Thing", &[]), Ok(None));
    }
}
