//! Random changes of checks, field by field from the descriptors, and what of them is whose to see: told by the annotations
//! alone, so that a mistake of redaction can't hide in both of what is compared.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use sluice_schema::{
    access::{FieldEntry, Label, Mask, MessageTable, table},
    proto::{DESCRIPTORS, eligibility::EligibilityCheckChanged},
};

use super::tape::Tape;

/// A text that is nowhere else, and the labels that it lies under.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    text: String,
    labels: Vec<Label>,
}

impl Fact {
    pub(super) fn is_open_to(&self, mask: Mask) -> bool {
        self.labels.iter().all(|label| mask.sees(*label))
    }

    pub(super) fn is_in(&self, rendered: &str) -> bool {
        rendered.contains(&self.text)
    }
}

struct Maker {
    tape: Tape,
    check: String,
    member: String,
    facts: Vec<Fact>,
}

pub(super) fn random(check: &str, member: &str, tape: Tape) -> (EligibilityCheckChanged, Vec<Fact>) {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("the descriptors decode");
    let name = "sluice.eligibility.v1.EligibilityCheckChanged";
    let descriptor = pool.get_message_by_name(name).expect("is described");
    let mut maker = Maker { tape, check: check.into(), member: member.into(), facts: vec![] };
    let message = maker.message(&descriptor, table(name).expect("is annotated"), &[]);
    let changed = EligibilityCheckChanged::decode(message.encode_to_vec().as_slice()).expect("is one");
    (changed, maker.facts)
}

impl Maker {
    fn message(&mut self, of: &MessageDescriptor, table: &MessageTable, above: &[Label]) -> DynamicMessage {
        let mut message = DynamicMessage::new(of.clone());
        for entry in table.fields {
            let field = of.get_field_by_name(entry.name).expect("is described");
            if let Some(fixed) = self.fixed(table, entry) {
                message.set_field(&field, Value::String(fixed));
                continue;
            }
            // Wholes are there more often than not: most lies in them. With nothing left to choose there is an `after`.
            let left_out = match (entry.message, entry.name) {
                (_, "after") => self.tape.below(8) == 7,
                (Some(_), _) => self.tape.below(4) == 0,
                (None, _) => self.tape.below(2) == 0,
            };
            if !left_out {
                let labels: Vec<_> = above.iter().copied().chain([entry.label]).collect();
                let value = self.field(&field, entry, &labels);
                message.set_field(&field, value);
            }
        }
        message
    }

    fn fixed(&self, table: &MessageTable, entry: &FieldEntry) -> Option<String> {
        match (table.name, entry.name) {
            ("sluice.eligibility.v1.EligibilityCheck", "id") => Some(self.check.clone()),
            ("sluice.eligibility.v1.EligibilityCheck", "member_id") => Some(self.member.clone()),
            _ => None,
        }
    }

    fn field(&mut self, field: &FieldDescriptor, entry: &FieldEntry, labels: &[Label]) -> Value {
        if !field.is_list() {
            return self.value(field, entry, labels);
        }
        let count = 1 + self.tape.below(2);
        Value::List((0..count).map(|_| self.value(field, entry, labels)).collect())
    }

    fn value(&mut self, field: &FieldDescriptor, entry: &FieldEntry, labels: &[Label]) -> Value {
        match (field.kind(), entry.message, entry.paths_into) {
            (Kind::Message(of), Some(table), _) => Value::Message(self.message(&of, table, labels)),
            (Kind::Message(of), None, _) => {
                let mut time = DynamicMessage::new(of);
                time.set_field_by_name("seconds", Value::I64(4_102_444_800 + self.tape.below(256) as i64));
                Value::Message(time)
            }
            (Kind::Bool, ..) => Value::Bool(self.tape.below(2) == 1),
            // Some that this version does not know.
            (Kind::Enum(_), ..) => Value::EnumNumber(i32::try_from(self.tape.below(8)).expect("few")),
            (_, _, Some(target)) => Value::String(self.path(target, labels)),
            _ => Value::String(self.text(entry.name, labels)),
        }
    }

    fn text(&mut self, field: &str, labels: &[Label]) -> String {
        let number = self.facts.len();
        let is_date = ["date", "coverage_begin", "coverage_end"].iter().any(|part| field.contains(part));
        let text = if is_date {
            let first = jiff::civil::date(2000, 1, 1);
            (first + jiff::Span::new().days(number as i64)).to_string()
        } else {
            format!("x{number}x")
        };
        self.facts.push(Fact { text: text.clone(), labels: labels.to_vec() });
        // Some that must be escaped, and some of more than one byte.
        if is_date { text } else { text + *self.tape.one_of(&["", " \"é\\\n\u{2028}", "🧬\t</script>"]) }
    }

    /// A path to something that changed, and the labels along it.
    fn path(&mut self, target: &'static MessageTable, labels: &[Label]) -> String {
        let (mut path, mut labels, mut table) = (String::new(), labels.to_vec(), target);
        loop {
            let entry = self.tape.one_of(table.fields);
            labels.push(entry.label);
            path.push_str(entry.name);
            match entry.message {
                Some(part) if self.tape.below(4) != 0 => (table, path) = (part, path + "."),
                _ => break,
            }
        }
        // The other names may be there for other reasons.
        if path.contains('.') {
            self.facts.push(Fact { text: format!("\"{path}\""), labels });
        }
        path
    }
}
