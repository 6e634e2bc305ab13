//! Places in the log, and the cursor that a client resumes with.
//!
//! A [`Position`] names one event; a [`ReadVector`] says how far a reader is in every partition; a [`Cursor`] is a read
//! vector with the log's epoch, as opaque text. A cursor is a place, not a right: whoever presents it is authorized anew.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Buf, BufMut};
use prost::encoding::{decode_varint, encode_varint};

/// One life of the log. A log that is made again, a changed partition count or partitioning secret is a new epoch, and no
/// cursor of an older one is honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

/// The number of a partition, from 0.
pub type Partition = u16;

/// A dense number within a partition, from 1; 0 is "before the first".
pub type Seq = u64;

/// The place of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    pub epoch: Epoch,
    pub partition: Partition,
    pub seq: Seq,
}

/// How far a reader is: for each partition the seq of the last event that it has dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ReadVector(pub Vec<Seq>);

impl ReadVector {
    /// Before the first event of each of `partitions`.
    pub fn start(partitions: Partition) -> Self {
        Self(vec![0; partitions.into()])
    }

    pub fn get(&self, partition: Partition) -> Seq {
        self.0.get(usize::from(partition)).copied().unwrap_or(0)
    }

    /// Moves on to `seq`; a seq that was passed before moves nothing back.
    pub fn advance(&mut self, partition: Partition, seq: Seq) {
        if let Some(slot) = self.0.get_mut(usize::from(partition)) {
            *slot = seq.max(*slot);
        }
    }

    /// Moves on to where `other` is further; a partition that only `other` has is taken.
    pub fn join(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        other.partitions().for_each(|(partition, seq)| self.advance(partition, seq));
    }

    /// Whether it is as far as `other` in every partition.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().enumerate().all(|(i, seq)| self.0.get(i).is_some_and(|mine| mine >= seq))
    }

    pub fn partitions(&self) -> impl Iterator<Item = (Partition, Seq)> + '_ {
        (0..).zip(self.0.iter().copied())
    }
}

/// Where a subscription continues: behind everything that its read vector covers.
///
/// Text form: base64url, unpadded, of version (1 byte), epoch (8, big-endian), the number of partitions and one seq each
/// (protobuf varints), CRC-32 of all before (4, big-endian).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub epoch: Epoch,
    pub vector: ReadVector,
}

/// The text is not a cursor that this server made, or was cut or altered on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: pass one from `extensions.cursor` unchanged, or none")]
pub struct MalformedCursor;

const VERSION: u8 = 1;
const MAX_PARTITIONS: u64 = 1024;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(16 + 4 * self.vector.0.len());
        bytes.put_u8(VERSION);
        bytes.put_u64(self.epoch.0);
        encode_varint(self.vector.0.len() as u64, &mut bytes);
        for seq in &self.vector.0 {
            encode_varint(*seq, &mut bytes);
        }
        bytes.put_u32(crc32fast::hash(&bytes));
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = MalformedCursor;

    fn from_str(text: &str) -> Result<Self, MalformedCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| MalformedCursor)?;
        let (body, mut crc) = bytes.split_at_checked(bytes.len().wrapping_sub(4)).ok_or(MalformedCursor)?;
        if crc.get_u32() != crc32fast::hash(body) {
            return Err(MalformedCursor);
        }
        read_body(body).ok_or(MalformedCursor)
    }
}

fn read_body(mut body: &[u8]) -> Option<Cursor> {
    if body.try_get_u8().ok()? != VERSION {
        return None;
    }
    let epoch = Epoch(body.try_get_u64().ok()?);
    let count = decode_varint(&mut body).ok().filter(|count| *count <= MAX_PARTITIONS)?;
    let seqs = (0..count).map(|_| decode_varint(&mut body).ok()).collect::<Option<Vec<_>>>()?;
    body.is_empty().then_some(Cursor { epoch, vector: ReadVector(seqs) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(epoch: u64, seqs in proptest::collection::vec(any::<u64>(), 0..70)) {
            let cursor = Cursor { epoch: Epoch(epoch), vector: ReadVector(seqs) };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,100}") {
            let _ = text.parse::<Cursor>();
        }

        #[test]
        fn an_altered_cursor_is_refused(seqs in proptest::collection::vec(any::<u64>(), 1..5), at: prop::sample::Index, to in "[A-Za-z0-9_-]") {
            let text = Cursor { epoch: Epoch(7), vector: ReadVector(seqs) }.to_string();
            let at = at.index(text.len());
            let altered = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assume!(altered != text);
            prop_assert_eq!(altered.parse::<Cursor>(), Err(MalformedCursor));
        }
    }

    #[test]
    fn cursors_stay_small() {
        let size = |partitions| {
            Cursor { epoch: Epoch(u64::MAX), vector: ReadVector(vec![1 << 34; partitions]) }.to_string().len()
        };
        assert!(size(1) <= 64, "{}", size(1));
        assert!(size(64) <= 512, "{}", size(64));
    }

    #[test]
    fn a_vector_only_moves_on() {
        let mut vector = ReadVector::start(2);
        vector.advance(1, 5);
        vector.advance(1, 3);
        assert_eq!(vector, ReadVector(vec![0, 5]));
        assert!(vector.covers(&ReadVector(vec![0, 5])));
        assert!(!vector.covers(&ReadVector(vec![1, 5])));
    }
}
