//! A writer's hash chain.

use aws_lc_rs::digest::{Context, SHA256, digest};
use sluice_subscriptions::audit::Verified;

pub(super) const HASH_BYTES: usize = 32;
pub(super) type Hash = [u8; HASH_BYTES];

/// What the first record of a writer carries in the place of a hash before it: a chain can't be passed off as another's.
pub(super) fn beginning(writer: &str) -> Hash {
    sized(digest(&SHA256, writer.as_bytes()).as_ref())
}

/// SHA-256 of the hash before and the body.
pub(super) fn link(prev_hash: &Hash, body: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(prev_hash);
    context.update(body);
    sized(context.finish().as_ref())
}

fn sized(hash: &[u8]) -> Hash {
    // SHA-256 has 32 bytes.
    hash.first_chunk().copied().unwrap_or_default()
}

/// `writer, number, prev_hash, hash, body`; the body as bytes, for altered ones need not be text.
pub(super) type Row = (String, i64, Vec<u8>, Vec<u8>, Vec<u8>);

/// Walks records in the order of writer and number.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) records: u64,
    writer: String,
    number: u64,
    hash: Hash,
}

impl Walk {
    /// Where to read on.
    pub(super) fn place(&self) -> (&str, i64) {
        (&self.writer, self.number.cast_signed())
    }

    /// # Errors
    /// The record does not fit: the finding.
    pub(super) fn step(&mut self, (writer, number, prev_hash, hash, body): Row) -> Result<(), Verified> {
        if writer != self.writer {
            self.hash = beginning(&writer);
            self.number = 0;
            self.writer = writer;
        }
        let expected = self.number + 1;
        let broken = |why: String| Err(Verified::Broken { writer: self.writer.clone(), number: expected, why });
        if number.unsigned_abs() != expected {
            return broken(format!("it is missing; the next one is {number}"));
        }
        if prev_hash != self.hash {
            return broken(
                "it does not follow the record before it: one of the two was altered, or others stood between".into(),
            );
        }
        let linked = link(&self.hash, &body);
        if hash != linked {
            return broken("its hash is not that of its text: it was altered".into());
        }
        self.hash = linked;
        self.number = expected;
        self.records += 1;
        Ok(())
    }
}
