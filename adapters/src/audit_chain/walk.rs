//! Verifying chains, and the audiences that their records name.

use std::collections::HashMap;

use serde::Deserialize;
use sluice_subscriptions::audit::{AuditUnavailable, Damage, Digest, Verified};

use super::link::Link;
use crate::audit_heads::{HeadsError, TrustedHeads};

/// `writer, number, prev_hash, hash, body`; the body as bytes, for altered ones need not be text.
pub(crate) type Row = (String, i64, Vec<u8>, Vec<u8>, Vec<u8>);

/// How many audiences are remembered: with more they are looked at again, so that a trail of any length is walked in as much
/// memory.
const AUDIENCES: usize = 1 << 16;

/// Walks records in the order of writer and number.
pub(crate) struct Walk<'h> {
    pub(crate) records: u64,
    writer: String,
    end: Link,
    /// What was found of the audiences that were looked at: those that are kept once are not looked at each time.
    audiences: HashMap<Digest, Result<(), Damage>>,
    /// What the chains are held against.
    heads: Option<&'h mut TrustedHeads>,
}

/// Why a walk does not go on.
enum Stop {
    Found(Verified),
    Failed(AuditUnavailable),
}

impl From<HeadsError> for Stop {
    fn from(error: HeadsError) -> Self {
        Self::Failed(AuditUnavailable(error.to_string()))
    }
}

impl<'h> Walk<'h> {
    pub(crate) fn new(heads: Option<&'h mut TrustedHeads>) -> Self {
        Self { records: 0, writer: String::new(), end: Link::beginning(""), audiences: HashMap::new(), heads }
    }

    /// Where to read on.
    pub(crate) fn place(&self) -> (&str, i64) {
        (&self.writer, self.end.number)
    }

    /// The audiences that these rows name and that were not looked at yet. Each must be before the rows are taken.
    pub(crate) fn unseen(&mut self, rows: &[Row]) -> Vec<Digest> {
        if self.audiences.len() > AUDIENCES {
            self.audiences.clear();
        }
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
    ///
    /// # Errors
    /// The heads can't be read.
    pub(crate) fn take(&mut self, rows: Vec<Row>) -> Result<Option<Verified>, AuditUnavailable> {
        let walked = match rows.is_empty() {
            true => self.finish(),
            false => rows.into_iter().try_for_each(|row| self.step(row)),
        };
        match walked {
            Ok(()) => Ok(None),
            Err(Stop::Found(finding)) => Ok(Some(finding)),
            Err(Stop::Failed(why)) => Err(why),
        }
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.leave()?;
        let missing = self.heads.as_ref().and_then(|heads| heads.missing());
        Err(Stop::Found(match missing {
            Some((writer, why)) => Verified::Broken { writer, number: 1, why },
            None => Verified::Intact { records: self.records },
        }))
    }

    fn step(&mut self, (writer, number, prev_hash, hash, body): Row) -> Result<(), Stop> {
        if writer != self.writer {
            self.leave()?;
            self.enter(writer)?;
        }
        let fits = self.follow(number, &prev_hash, &hash, &body).and_then(|next| self.audience(&body).map(|()| next));
        let next = fits.map_err(|why| self.broken(why))?;
        self.hold_against_heads(next)?;
        self.end = next;
        self.records += 1;
        Ok(())
    }

    fn enter(&mut self, writer: String) -> Result<(), Stop> {
        self.end = Link::beginning(&writer);
        self.writer = writer;
        if let Some(heads) = &mut self.heads {
            heads.enter(&self.writer)?;
        }
        self.hold_against_heads(self.end)
    }

    fn leave(&mut self) -> Result<(), Stop> {
        // Before the first writer there is none.
        let Some(heads) = self.heads.as_mut().filter(|_| self.records > 0) else { return Ok(()) };
        heads.leave(&self.end).map_err(|why| self.broken(why))
    }

    fn hold_against_heads(&mut self, link: Link) -> Result<(), Stop> {
        let Some(heads) = &mut self.heads else { return Ok(()) };
        heads.pass(&self.writer, &link)?.map_err(|why| self.broken(why))
    }

    /// At the record behind those that are whole.
    fn broken(&self, why: Damage) -> Stop {
        Stop::Found(Verified::Broken { writer: self.writer.clone(), number: (self.end.number + 1).unsigned_abs(), why })
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
