//! Verifying chains, and the audiences that their records name.

use std::collections::HashMap;

use serde::Deserialize;
use sluice_subscriptions::audit::{Damage, Digest, Verified};

use super::link::Link;

/// `writer, number, prev_hash, hash, body`; the body as bytes, for altered ones need not be text.
pub(crate) type Row = (String, i64, Vec<u8>, Vec<u8>, Vec<u8>);

/// Walks records in the order of writer and number.
pub(crate) struct Walk {
    pub(crate) records: u64,
    writer: String,
    end: Link,
    /// What was found of each audience that was looked at: those that are kept once are looked at once.
    audiences: HashMap<Digest, Result<(), Damage>>,
}

impl Default for Walk {
    fn default() -> Self {
        Self { records: 0, writer: String::new(), end: Link::beginning(""), audiences: HashMap::new() }
    }
}

impl Walk {
    /// Where to read on.
    pub(crate) fn place(&self) -> (&str, i64) {
        (&self.writer, self.end.number)
    }

    /// The audiences that these rows name and that were not looked at yet. Each must be before the rows are taken.
    pub(crate) fn unseen(&self, rows: &[Row]) -> Vec<Digest> {
        let mut named: Vec<_> = rows.iter().filter_map(|(.., body)| named(body)).collect();
        named.sort_unstable();
        named.dedup();
        named.retain(|digest| !self.audiences.contains_key(digest));
        named
    }

    /// Looks at an audience: at what is kept under this name, as bytes, for an altered one need not be text.
    pub(crate) fn look_at(&mut self, digest: Digest, kept: Option<&[u8]>) {
        let found = match kept {
            None => Err(Damage::AudienceMissing(digest)),
            Some(kept) if Digest::of(kept) != digest => Err(Damage::AudienceAltered(digest)),
            Some(_) => Ok(()),
        };
        self.audiences.insert(digest, found);
    }

    /// Takes the next records. What was found, where that is the end: one that does not fit, or no more of them.
    pub(crate) fn take(&mut self, rows: Vec<Row>) -> Option<Verified> {
        if rows.is_empty() {
            return Some(Verified::Intact { records: self.records });
        }
        rows.into_iter().find_map(|row| self.step(row).err())
    }

    /// # Errors
    /// The record does not fit: the finding.
    fn step(&mut self, (writer, number, prev_hash, hash, body): Row) -> Result<(), Verified> {
        if writer != self.writer {
            self.end = Link::beginning(&writer);
            self.writer = writer;
        }
        let fits = self.follow(number, &prev_hash, &hash, &body).and_then(|next| self.audience(&body).map(|()| next));
        self.end = fits.map_err(|why| Verified::Broken {
            writer: self.writer.clone(),
            number: (self.end.number + 1).unsigned_abs(),
            why,
        })?;
        self.records += 1;
        Ok(())
    }

    /// Where the chain is behind a record.
    fn follow(&self, number: i64, prev_hash: &[u8], hash: &[u8], body: &[u8]) -> Result<Link, Damage> {
        if number != self.end.number + 1 {
            return Err(Damage::Missing { next: number });
        }
        if prev_hash != self.end.hash {
            return Err(Damage::DoesNotFollow);
        }
        let next = self.end.next(body);
        if hash == next.hash { Ok(next) } else { Err(Damage::Altered) }
    }

    /// The audience of a record that fits its chain. Whoever did not look at it has not found it.
    fn audience(&self, body: &[u8]) -> Result<(), Damage> {
        let Some(digest) = named(body) else { return Ok(()) };
        self.audiences.get(&digest).cloned().unwrap_or(Err(Damage::AudienceMissing(digest)))
    }
}

/// The audience that a record's text names. One that was altered so that it can't be read is found by its hash.
fn named(body: &[u8]) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Body {
        audience: Option<Digest>,
    }
    serde_json::from_slice::<Body>(body).ok()?.audience
}
