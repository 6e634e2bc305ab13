//! To whom one event went: what is the same from event to event, and so is kept once.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use aws_lc_rs::digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error, ser::SerializeStruct};

use super::Recipient;

/// The most recipients that a record tells itself, rather than by the name of their audience.
///
/// A name, the number beside it and the row that finds the record by it take about 200 bytes, as much as two recipients
/// with a row each. Up to four that is not worth a table of its own: such audiences (a member, her family, a nurse) are
/// many, and each comes back seldom.
pub const INLINE: usize = 4;

const DIGEST_BYTES: usize = digest::SHA256_OUTPUT_LEN;

/// The recipients of one event. It never changes, so records share it.
///
/// Its canonical form, which its name is the SHA-256 of, is a JSON array: each recipient as serde writes it (`user`,
/// `actor` where somebody acts for her, `purpose`, `transport`, `seen` where it is there; no spaces), in the order of these texts' bytes. Somebody who
/// receives twice is there twice. Whoever they were told in another order are the same audience.
pub struct Audience {
    recipients: Box<[Recipient]>,
    digest: OnceLock<Digest>,
}

impl Audience {
    pub fn of(recipients: Vec<Recipient>) -> Self {
        Self { recipients: recipients.into(), digest: OnceLock::new() }
    }

    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// Whether a record tells the recipients itself.
    pub fn is_inline(&self) -> bool {
        self.recipients.len() <= INLINE
    }

    /// The name, worked out when it is first asked for: a small audience needs none.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(self.canonical().as_bytes()))
    }

    /// The canonical form, made anew each time: it is needed once for each writer, and is as large as all else together.
    pub fn canonical(&self) -> String {
        let mut all = Vec::new();
        let mut places = Vec::with_capacity(self.recipients.len());
        for recipient in &self.recipients {
            let start = all.len();
            // Neither the writer nor any of the types can fail.
            let _ = serde_json::to_writer(&mut all, recipient);
            places.push(start..all.len());
        }
        places.sort_unstable_by(|one, other| all[one.clone()].cmp(&all[other.clone()]));
        let mut canonical = Vec::with_capacity(all.len() + places.len() + 1);
        for (index, place) in places.into_iter().enumerate() {
            canonical.push(if index == 0 { b'[' } else { b',' });
            canonical.extend_from_slice(&all[place]);
        }
        if self.recipients.is_empty() {
            canonical.push(b'[');
        }
        canonical.push(b']');
        // serde_json writes UTF-8.
        String::from_utf8(canonical).unwrap_or_default()
    }
}

/// By name.
impl PartialEq for Audience {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.digest() == other.digest()
    }
}

impl Eq for Audience {}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Audience").field(&self.recipients).finish()
    }
}

/// As a part of a record: the recipients, or their audience's name and how many they are.
impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_inline() {
            let mut part = serializer.serialize_struct("Audience", 1)?;
            part.serialize_field("recipients", &self.recipients)?;
            return part.end();
        }
        let mut part = serializer.serialize_struct("Audience", 2)?;
        part.serialize_field("audience", &self.digest())?;
        part.serialize_field("recipient_count", &self.recipients.len())?;
        part.end()
    }
}

pub(super) fn shared<S: Serializer>(audience: &Arc<Audience>, serializer: S) -> Result<S::Ok, S::Error> {
    audience.serialize(serializer)
}

/// A SHA-256, such as an audience's name: that of its canonical form. As text, 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// Of a canonical form, or of what is kept as one.
    pub fn of(canonical: &[u8]) -> Self {
        let mut bytes = [0; DIGEST_BYTES];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, canonical).as_ref());
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<[u8; DIGEST_BYTES]> for Digest {
    fn from(bytes: [u8; DIGEST_BYTES]) -> Self {
        Self(bytes)
    }
}

impl From<Digest> for [u8; DIGEST_BYTES] {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A text that is no SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 has 64 hexadecimal digits in lower case")]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;

    /// Only what `Display` writes, so that nothing has two names.
    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(NoDigest) };
        let pairs: &[_; DIGEST_BYTES] = pairs.try_into().map_err(|_| NoDigest)?;
        let mut bytes = [0; DIGEST_BYTES];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = nibble(*high).ok_or(NoDigest)? << 4 | nibble(*low).ok_or(NoDigest)?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sluice_schema::{access::Mask, viewer::PurposeOfUse};

    use super::*;
    use crate::audit::{Action, AuditRecord, Seen};

    fn recipient(user: &str) -> Recipient {
        Recipient {
            user: user.parse().unwrap(),
            actor: None,
            purpose: PurposeOfUse::Treatment,
            transport: "graphql-ws".into(),
            seen: None,
        }
    }

    fn body(users: &[&str]) -> String {
        let record = AuditRecord {
            at: Timestamp::from_millisecond(1_790_000_000_000).unwrap(),
            tenant: "acme".parse().unwrap(),
            action: Action::Deliver {
                patient: Some("m-1".parse().unwrap()),
                event_id: "e-1".into(),
                event_type: "test.Happened".into(),
                cursor: "c".into(),
                seen: Seen::new(Mask::default(), "r-1"),
                audience: Arc::new(Audience::of(users.iter().map(|user| recipient(user)).collect())),
            },
        };
        serde_json::to_string(&record).unwrap()
    }

    const HEAD: &str = r#"{"at":1790000000000,"tenant":"acme","action":"deliver","patient":"m-1","event_id":"e-1","event_type":"test.Happened","cursor":"c","seen":{"visibilities":0,"sensitivities":0,"revision":"r-1"},"#;

    #[test]
    fn a_record_tells_few_recipients_itself_as_ever() {
        let recipients = |users: &[&str]| {
            let each = |user| format!(r#"{{"user":"{user}","purpose":"TREAT","transport":"graphql-ws"}}"#);
            users.iter().map(each).collect::<Vec<_>>().join(",")
        };
        for users in [&["u-2", "u-1"][..], &["u-4", "u-1", "u-2", "u-3"], &[]] {
            assert_eq!(body(users), format!(r#"{HEAD}"recipients":[{}]}}"#, recipients(users)));
        }
    }

    #[test]
    fn a_record_names_an_audience_of_many() {
        // Of the five recipients in the order of their texts, by sha256sum.
        let name = "09e85f11b65e6ed58459a984ff1572c951f105e59d5288c80f54ae1af24ef8c5";
        let tail = format!(r#""audience":"{name}","recipient_count":5}}"#);
        assert_eq!(body(&["u-3", "u-5", "u-1", "u-4", "u-2"]), format!("{HEAD}{tail}"));
    }

    #[test]
    fn the_canonical_form_is_in_the_order_of_the_texts_and_has_everybody_as_often_as_she_receives() {
        let other = Recipient { seen: Some(Seen::new(Mask::default(), "r-2")), ..recipient("u-1") };
        let audience = Audience::of(vec![recipient("u-2"), other, recipient("u-1"), recipient("u-1")]);
        let of = |user, more| format!(r#"{{"user":"{user}","purpose":"TREAT","transport":"graphql-ws"{more}}}"#);
        let seen = r#","seen":{"visibilities":0,"sensitivities":0,"revision":"r-2"}"#;
        let texts = [of("u-1", seen), of("u-1", ""), of("u-1", ""), of("u-2", "")];
        assert_eq!(audience.canonical(), format!("[{}]", texts.join(",")));
        assert_eq!(Audience::of(Vec::new()).canonical(), "[]");
    }

    #[test]
    fn audiences_are_the_same_where_the_same_receive() {
        let of = |users: &[&str]| Audience::of(users.iter().map(|user| recipient(user)).collect());
        assert_eq!(of(&["u-1", "u-2"]), of(&["u-2", "u-1"]));
        assert_ne!(of(&["u-1", "u-2"]), of(&["u-1", "u-2", "u-2"]));
        assert_ne!(of(&["u-1"]), of(&["u-2"]));
    }

    #[test]
    fn a_name_is_read_as_it_is_written_and_not_otherwise() {
        let digest = Digest::of(b"[]");
        let text = digest.to_string();
        assert_eq!(text.parse(), Ok(digest));
        for other in [&text[1..], &format!("{text}0"), &text.to_uppercase(), &text.replace('4', "g"), ""] {
            assert_eq!(other.parse::<Digest>(), Err(NoDigest), "{other}");
        }
    }
}
