//! A head as it is kept: one line of JSON.
//!
//! ```json
//! {"seq":17,"at":1795498635607,"writer":"gateway-1.01a2…","number":1234,"hash":"9f86…","key":"1f4b…","prev":"60b7…","signature":"mF3x…"}
//! ```
//!
//! `seq` counts the file's lines from 1; `prev` is the SHA-256 of the line before without its newline, and 64 zeros in the
//! first one. `number` and `hash` are the writer's last durable record and its hash; 0 and the hash of its name where it has none
//! yet. `closed` (only where it is true) says that the writer ended in order and adds nothing more. `signature` is the Ed25519
//! signature in base64 of the text [`CONTEXT`] and the line without its last member: `{"seq":…,"prev":"…"}`.

use aws_lc_rs::digest::SHA256_OUTPUT_LEN;
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_subscriptions::audit::Digest;

use super::key::{PublicKey, SigningKey};
use crate::audit_chain::Link;

/// What is signed begins with it, so that no signature of another purpose passes for one of a head.
const CONTEXT: &[u8] = b"sluice.audit.head.v1\n";

const BEGINNING: &[u8] = b"{\"seq\":";
const SIGNATURE: &str = ",\"signature\":\"";

/// Longer ones are none of ours: a node's name is the operator's, and short.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) seq: u64,
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub(super) at: Timestamp,
    pub(super) writer: String,
    pub(super) number: i64,
    pub(super) hash: Digest,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) closed: bool,
    /// The id of the key that has signed it.
    key: String,
    prev: Digest,
}

/// What is told of a chain's end, before it has a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) writer: String,
    pub(super) end: Link,
    pub(super) closed: bool,
}

/// A place in a heads file: how many lines there are up to here, and the hash of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) line: Digest,
}

impl Place {
    pub(super) fn beginning() -> Self {
        Self { seq: 0, line: Digest::from([0; SHA256_OUTPUT_LEN]) }
    }

    /// Behind a line.
    pub(super) fn behind(seq: u64, line: &[u8]) -> Self {
        Self { seq, line: Digest::of(line) }
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    #[error("it is no head: it was altered, or is not of this program")]
    NotAHead,
    #[error(
        "it does not follow the line before it: lines were removed, put in or moved, or one of the two was altered"
    )]
    DoesNotFollow,
    #[error(
        "it is signed with the key {0}, which is none of those that were given: name the public keys of all who sign with --public-key, or somebody else wrote it"
    )]
    UnknownKey(String),
    #[error("its signature is not right: it was altered, or somebody else wrote it")]
    BadSignature,
    #[error(
        "it tells less of its writer's chain than a head before it: the trail had lost records then, as after a failover or a restore"
    )]
    StepsBack,
    #[error("its writer had ended in order before: nothing can come after that")]
    AfterEnd,
}

impl Head {
    pub(super) fn link(&self) -> Link {
        Link { number: self.number, hash: self.hash.into() }
    }

    /// The hash of the line before that it tells.
    pub(super) fn prev(&self) -> Digest {
        self.prev
    }

    /// The line that follows on `place`, without a newline.
    pub(super) fn write(statement: &Statement, place: Place, key: &SigningKey) -> Result<Vec<u8>, serde_json::Error> {
        let head = Self {
            seq: place.seq + 1,
            at: Timestamp::now(),
            writer: statement.writer.clone(),
            number: statement.end.number,
            hash: Digest::from(statement.end.hash),
            closed: statement.closed,
            key: key.public().id(),
            prev: place.line,
        };
        let mut line = serde_json::to_vec(&head)?;
        let signature = key.sign(&signed(&line));
        line.pop();
        line.extend_from_slice(format!("{SIGNATURE}{}\"}}", STANDARD.encode(signature)).as_bytes());
        Ok(line)
    }

    /// Reads a line as it should be behind `place`, and believes it where one of `keys` has signed it.
    pub(super) fn read(line: &[u8], place: Place, keys: &[PublicKey]) -> Result<Self, BadHead> {
        let (head, text, signature) = Self::parse(line).ok_or(BadHead::NotAHead)?;
        if place.seq.checked_add(1) != Some(head.seq) || head.prev != place.line {
            return Err(BadHead::DoesNotFollow);
        }
        let mut named = keys.iter().filter(|key| key.id() == head.key).peekable();
        if named.peek().is_none() {
            return Err(BadHead::UnknownKey(head.key));
        }
        let message = signed(&text);
        if named.any(|key| key.has_signed(&message, &signature)) { Ok(head) } else { Err(BadHead::BadSignature) }
    }

    /// Whether a text may be one that was being written: nothing else is ever cut off a file.
    pub(super) fn may_begin(half: &[u8]) -> bool {
        half.starts_with(BEGINNING) || BEGINNING.starts_with(half)
    }

    /// A line as it stands, whoever wrote it.
    pub(super) fn parse(line: &[u8]) -> Option<(Self, Vec<u8>, Vec<u8>)> {
        let place = line.windows(SIGNATURE.len()).rposition(|window| window == SIGNATURE.as_bytes())?;
        let signature = line[place + SIGNATURE.len()..].strip_suffix(b"\"}")?;
        let signature = STANDARD.decode(signature).ok()?;
        let text = [&line[..place], b"}"].concat();
        Some((serde_json::from_slice(&text).ok()?, text, signature))
    }
}

fn signed(text: &[u8]) -> Vec<u8> {
    [CONTEXT, text].concat()
}
