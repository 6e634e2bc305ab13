//! The links of a writer's hash chain.

use aws_lc_rs::digest::{Context, SHA256, digest};
use uuid::Uuid;

pub(crate) const HASH_BYTES: usize = 32;
pub(crate) type Hash = [u8; HASH_BYTES];

/// The name of a node's one boot: no two writers are alike.
pub(crate) fn new_writer(node: &str) -> String {
    format!("{node}.{}", Uuid::now_v7())
}

/// A place in a chain: how many records there are up to here, and the hash of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) number: i64,
    pub(crate) hash: Hash,
}

impl Link {
    /// Before the first record of a writer, which carries the hash of its name in the place of a hash before it: a chain
    /// can't be passed off as another's.
    pub(crate) fn beginning(writer: &str) -> Self {
        Self { number: 0, hash: sized(digest(&SHA256, writer.as_bytes()).as_ref()) }
    }

    /// Behind a record with this body: SHA-256 of the hash before and the body.
    pub(crate) fn next(&self, body: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.hash);
        context.update(body);
        Self { number: self.number + 1, hash: sized(context.finish().as_ref()) }
    }
}

fn sized(hash: &[u8]) -> Hash {
    // SHA-256 has 32 bytes.
    hash.first_chunk().copied().unwrap_or_default()
}
