//! What is wrong with the topics' configuration, before anything is read.

use std::collections::HashSet;

use sluice_schema::ids::MemberId;

use super::{
    config::{ConfigSentence, ForeignTopic},
    mapping::Mapping,
};

/// What a broker lets a member of a group be silent for, in seconds, by default.
const SESSION_TIMEOUT: std::ops::RangeInclusive<u64> = 6..=1800;

/// Whether these topics can be read beside each other; asks nobody.
///
/// # Errors
/// The first that can't be, by topic and key.
pub fn check_all(topics: &[ForeignTopic]) -> Result<(), ConfigSentence> {
    let mut read = HashSet::new();
    for topic in topics {
        check(topic)?;
        Mapping::new(topic)?;
        if !read.insert((&topic.topic, topic.group())) {
            let what = "another entry reads this topic in the same group: make one of the two, or name another group";
            return Err(sentence(topic, "group", what));
        }
    }
    let fed = topics.iter().find(|one| topics.iter().any(|other| one.dead_letter_topic() == other.topic));
    match fed {
        Some(topic) => Err(sentence(topic, "dead_letter_topic", "it is a foreign topic that is read: name another")),
        None => Ok(()),
    }
}

/// What one entry says apart from its mappings.
pub(super) fn check(topic: &ForeignTopic) -> Result<(), ConfigSentence> {
    let name = "it must be a topic's name: 1 to 249 of A-Z, a-z, 0-9, '.', '_' and '-'";
    if !is_topic(&topic.topic) {
        return Err(sentence(topic, "topic", name));
    }
    if !is_topic(&topic.dead_letter_topic()) {
        return Err(sentence(topic, "dead_letter_topic", name));
    }
    if topic.dead_letter_topic() == topic.topic {
        return Err(sentence(topic, "dead_letter_topic", "it is the topic itself: name another"));
    }
    if topic.group().trim().is_empty() {
        return Err(sentence(topic, "group", "it is empty: name a group, or leave the key out"));
    }
    if !SESSION_TIMEOUT.contains(&topic.session_timeout_seconds) {
        return Err(sentence(topic, "session_timeout_seconds", "it must be 6 to 1800"));
    }
    if topic.sources.iter().any(String::is_empty) {
        return Err(sentence(topic, "sources", "one is empty: name it, or remove it"));
    }
    for event in &topic.events {
        if event.r#type.is_empty() {
            return Err(sentence(topic, "events, type", "it is empty: name the type as the messages do"));
        }
        if event.subject_type.parse::<MemberId>().is_err() {
            let key = format!("the events of type {}, subject_type", event.r#type);
            return Err(sentence(topic, &key, "it must be a word of A-Z, a-z, 0-9, '_' and '-', such as Coverage"));
        }
    }
    Ok(())
}

/// A legal name; others can't be made, and one that begins with '^' would be a pattern.
fn is_topic(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && name != "."
        && name != ".."
}

fn sentence(topic: &ForeignTopic, key: &str, what: &str) -> ConfigSentence {
    let name = if topic.topic.is_empty() { "(without a name)" } else { &topic.topic };
    ConfigSentence { topic: name.into(), key: key.into(), what: what.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn topic(change: impl FnOnce(&mut Value)) -> ForeignTopic {
        let mut entry = json!({
            "topic": "enrollment", "format": "cloudevents", "tenant": "acme",
            "events": [{
                "type": "coverage.changed", "message": "sluice.coverage.v1.CoverageChanged", "subject_type": "Coverage",
                "subject": "{data.coverageId}", "member": "{data.memberId}", "channel": "/members/{data.memberId}/coverage",
            }],
        });
        change(&mut entry);
        serde_json::from_value(entry).expect("a configuration")
    }

    fn refused(topics: &[ForeignTopic]) -> String {
        check_all(topics).expect_err("it can't be").to_string()
    }

    #[test]
    fn one_entry_that_cannot_be_says_where() {
        for (key, at, value) in [
            ("topic", "/topic", json!("")),
            ("topic", "/topic", json!("^enroll.*")),
            ("group", "/group", json!(" ")),
            ("dead_letter_topic", "/dead_letter_topic", json!("")),
            ("dead_letter_topic", "/dead_letter_topic", json!("enrollment")),
            ("session_timeout_seconds", "/session_timeout_seconds", json!(5)),
            ("sources", "/sources", json!([""])),
            ("events", "/events", json!([])),
            ("events, type", "/events/0/type", json!("")),
            ("subject_type", "/events/0/subject_type", json!("")),
            ("subject_type", "/events/0/subject_type", json!("A coverage")),
            ("message", "/events/0/message", json!("sluice.coverage.v1.Nothing")),
        ] {
            let entry = topic(|entry| match entry.pointer_mut(at) {
                Some(found) => *found = value.clone(),
                None => entry[&at[1..]] = value.clone(),
            });
            let said = refused(&[entry]);
            let name =
                if at == "/topic" && value == "" { "(without a name)" } else { value.as_str().unwrap_or_default() };
            let name = if at == "/topic" { name } else { "enrollment" };
            assert!(said.starts_with(&format!("the foreign topic {name}, ")), "{said}");
            assert!(said.contains(&format!("{key}: ")), "{said}");
        }
    }

    #[test]
    fn entries_that_get_in_each_others_way_say_which() {
        let (first, second) = (topic(|_| {}), topic(|entry| entry["topic"] = json!("claims")));
        assert_eq!(check_all(&[first.clone(), second.clone()]), Ok(()));
        assert_eq!(check_all(&[first.clone(), topic(|entry| entry["group"] = json!("other"))]), Ok(()));

        let said = refused(&[first.clone(), second, first.clone()]);
        assert!(said.starts_with("the foreign topic enrollment, group: another entry reads this topic"), "{said}");
        let named = topic(|entry| entry["group"] = json!("sluice-foreign-enrollment"));
        assert!(refused(&[first.clone(), named]).contains("enrollment, group: "));

        let fed = topic(|entry| entry["topic"] = json!("enrollment.dead-letter"));
        let said = refused(&[fed, first]);
        assert!(said.starts_with("the foreign topic enrollment, dead_letter_topic: it is a foreign topic"), "{said}");
    }
}
