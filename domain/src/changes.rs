//! Which fields of an entity changed: compared by the descriptors, so that no field can be forgotten.

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};
use sluice_schema::proto::DESCRIPTORS;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the build encoded these descriptors"));

/// The fields that differ, as proto field paths in the order of the field numbers: `state`, `coverage.active`.
///
/// - A message field is looked into, also where only one side has it; what it says of itself (there, but empty) is its own
///   path.
/// - A repeated field, and a time, is one path.
/// - Against no `before`, every field that is set differs.
pub fn changed<M: Message + Name + Default>(before: Option<&M>, after: &M) -> Vec<String> {
    let mut paths = Vec::new();
    let before = before.map_or_else(|| reflect(&M::default()), reflect);
    compare(&before, &reflect(after), "", &mut paths);
    paths
}

fn reflect<M: Message + Name>(message: &M) -> DynamicMessage {
    let descriptor = POOL.get_message_by_name(&M::full_name()).expect("descriptors and types come from the same files");
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .expect("just encoded from the same definition")
}

fn compare(before: &DynamicMessage, after: &DynamicMessage, prefix: &str, paths: &mut Vec<String>) {
    let mut fields: Vec<_> = after.descriptor().fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    for field in fields {
        let path = format!("{prefix}{}", field.name());
        if is_looked_into(&field) {
            compare_messages(before, after, &field, path, paths);
        } else if value(before, &field) != value(after, &field) {
            paths.push(path);
        }
    }
}

fn compare_messages(
    before: &DynamicMessage,
    after: &DynamicMessage,
    field: &FieldDescriptor,
    path: String,
    paths: &mut Vec<String>,
) {
    let (old, new) = (before.get_field(field), after.get_field(field));
    let already = paths.len();
    if let (Value::Message(old), Value::Message(new)) = (old.as_ref(), new.as_ref()) {
        compare(old, new, &format!("{path}."), paths);
    }
    if paths.len() == already && before.has_field(field) != after.has_field(field) {
        paths.push(path);
    }
}

/// Google's own messages (a time) are values.
fn is_looked_into(field: &FieldDescriptor) -> bool {
    !field.is_list()
        && !field.is_map()
        && matches!(field.kind(), Kind::Message(message) if message.package_name() != "google.protobuf")
}

fn value(message: &DynamicMessage, field: &FieldDescriptor) -> Option<Value> {
    message.has_field(field).then(|| message.get_field(field).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_schema::proto::eligibility::{Coverage, EligibilityCheck, Provider};

    use super::*;
    use crate::eligibility::arbitrary::any_check;

    /// `base` with the value that `source` has at `path`.
    fn set(base: &mut DynamicMessage, source: &DynamicMessage, path: &str) {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let field = base.descriptor().get_field_by_name(name).expect(name);
        match (rest, source.get_field(&field).into_owned()) {
            (Some(rest), Value::Message(source)) => {
                let Value::Message(base) = base.get_field_mut(&field) else { panic!("{path}") };
                set(base, &source, rest);
            }
            (_, value) if source.has_field(&field) => base.set_field(&field, value),
            _ => base.clear_field(&field),
        }
    }

    /// A message that is there but empty, as one that is not there: the copy by paths leaves empty ones behind.
    fn without_empty(message: &DynamicMessage) -> DynamicMessage {
        let mut pruned = message.clone();
        for field in message.descriptor().fields().filter(is_looked_into) {
            if let Value::Message(inner) = message.get_field(&field).as_ref() {
                let inner = without_empty(inner);
                if inner.encoded_len() == 0 {
                    pruned.clear_field(&field);
                } else {
                    pruned.set_field(&field, Value::Message(inner));
                }
            }
        }
        pruned
    }

    proptest! {
        #[test]
        fn copying_just_the_changed_paths_makes_before_into_after(before in any_check(), after in any_check()) {
            let paths = changed(Some(&before), &after);
            let (before, after) = (reflect(&before), reflect(&after));
            let copy = |but: Option<&String>| {
                let mut copy = before.clone();
                paths.iter().filter(|path| Some(*path) != but).for_each(|path| set(&mut copy, &after, path));
                copy
            };
            prop_assert_eq!(without_empty(&copy(None)), without_empty(&after), "all paths are enough");
            for left_out in &paths {
                prop_assert_ne!(copy(Some(left_out)), after.clone(), "{} is needed", left_out);
            }
        }

        #[test]
        fn nothing_changed_is_no_path(check in any_check()) {
            prop_assert_eq!(changed(Some(&check), &check), Vec::<String>::new());
        }
    }

    #[test]
    fn paths_lead_into_messages_but_not_into_lists_and_times() {
        let before = EligibilityCheck { id: "ec-1".into(), state: 1, ..Default::default() };
        let mut after = before.clone();
        after.state = 2;
        after.completed_at = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        after.coverage = Some(Coverage { active: Some(true), copays: vec![Default::default()], ..Default::default() });
        after.provider = Some(Provider::default());
        let expected = ["state", "provider", "completed_at", "coverage.active", "coverage.copays"];
        assert_eq!(changed(Some(&before), &after), expected);
    }

    #[test]
    fn a_new_entity_changed_in_all_that_is_set() {
        let after = EligibilityCheck { id: "ec-1".into(), state: 1, ..Default::default() };
        assert_eq!(changed(None, &after), ["id", "state"]);
    }
}
