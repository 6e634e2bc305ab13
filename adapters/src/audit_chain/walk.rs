//! Walking chains, in the order of writer and number.

use std::collections::HashMap;

use sluice_subscriptions::audit::{AuditUnavailable, Damage, Digest, Index, Verified};

use super::{link::Link, told::Told, verify::Wanted};
use crate::audit_heads::{HeadsError, TrustedHeads};

/// `writer, number, prev_hash, hash, body`; the body as bytes, for altered ones need not be text.
pub(crate) type Row = (String, i64, Vec<u8>, Vec<u8>, Vec<u8>);

/// An audience as a tenant's records name it: it is found by her users for each tenant.
type Key = (String, Digest);

/// How many audiences are remembered: with more they are looked at again, so that a trail of any length is walked in as much
/// memory.
const AUDIENCES: usize = 1 << 16;

/// Records that were read together, and what was found out about them.
pub(crate) struct Page {
    rows: Vec<Row>,
    told: Vec<Option<Told>>,
    /// Those that an index does not find.
    not_found: HashMap<usize, Index>,
}

impl Page {
    pub(crate) fn of(rows: Vec<Row>) -> Self {
        let told = rows.iter().map(|(.., body)| Told::of(body)).collect();
        Self { rows, told, not_found: HashMap::new() }
    }

    /// What an index must have for these records.
    pub(super) fn wanted(&self, index: Index) -> Vec<Wanted<'_>> {
        let mut all = Vec::new();
        for (record, ((writer, number, ..), told)) in self.rows.iter().zip(&self.told).enumerate() {
            let Some(told) = told else { continue };
            let wanted = |id| Wanted { record, tenant: &told.tenant, id, writer, number: *number };
            match index {
                Index::Users => all.extend(told.users.iter().map(|user| wanted(user.into()))),
                Index::Patients => all.extend(told.patients.iter().map(|patient| wanted(patient.into()))),
                Index::Audiences => all.extend(told.audience.map(|name| wanted(name.to_string().into()))),
            }
        }
        all
    }

    pub(super) fn not_found(&mut self, index: Index, records: Vec<usize>) {
        for record in records {
            self.not_found.entry(record).or_insert(index);
        }
    }
}

/// Where a walk is, and what it has found.
pub(crate) struct Walk<'h> {
    pub(super) records: u64,
    /// None before the first one, whatever that is called.
    writer: Option<String>,
    end: Link,
    /// What was found of the audiences that were looked at: those that are kept once are not looked at each time.
    audiences: HashMap<Key, Result<(), Damage>>,
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
        Self { records: 0, writer: None, end: Link::beginning(""), audiences: HashMap::new(), heads }
    }

    /// Where to read on, this place included. First of all what no writer writes: an empty name, and numbers below 1.
    pub(super) fn place(&self) -> (&str, i64) {
        self.writer.as_ref().map_or(("", i64::MIN), |writer| (writer, self.end.number + 1))
    }

    /// The audiences that these records name and that were not looked at yet, in the order of their names. Each must be looked at
    /// before the page is taken.
    pub(super) fn unseen(&mut self, page: &Page) -> Vec<Key> {
        if self.audiences.len() > AUDIENCES {
            self.audiences.clear();
        }
        let told = page.told.iter().flatten();
        let mut named: Vec<_> = told.filter_map(|told| Some((told.tenant.clone(), told.audience?))).collect();
        named.sort_unstable_by(|(one, first), (other, second)| (first, one).cmp(&(second, other)));
        named.dedup();
        named.retain(|key| !self.audiences.contains_key(key));
        named
    }

    pub(super) fn looked_at(&mut self, audience: Key, found: Result<(), Damage>) {
        self.audiences.insert(audience, found);
    }

    /// Takes the next records. What was found, where that is the end: one that does not fit, or no more of them.
    ///
    /// # Errors
    /// The heads can't be read.
    pub(crate) fn take(&mut self, page: Page) -> Result<Option<Verified>, AuditUnavailable> {
        let Page { rows, told, not_found } = page;
        let walked = match rows.is_empty() {
            true => self.finish(),
            false => rows
                .into_iter()
                .zip(told)
                .enumerate()
                .try_for_each(|(place, (row, told))| self.step(row, told, not_found.get(&place).copied())),
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

    fn step(&mut self, row: Row, told: Option<Told>, not_found_by: Option<Index>) -> Result<(), Stop> {
        let (writer, number, prev_hash, hash, body) = row;
        if self.writer.as_ref() != Some(&writer) {
            self.leave()?;
            self.enter(writer)?;
        }
        let next = self.follow(number, &prev_hash, &hash, &body).map_err(|why| self.broken(why))?;
        self.hold_against_heads(next)?;
        self.audience(told).map_err(|why| self.broken(why))?;
        if let Some(index) = not_found_by {
            return Err(self.broken(Damage::NotFoundBy(index)));
        }
        self.end = next;
        self.records += 1;
        Ok(())
    }

    fn enter(&mut self, writer: String) -> Result<(), Stop> {
        self.end = Link::beginning(&writer);
        if let Some(heads) = &mut self.heads {
            heads.enter(&writer)?;
        }
        self.writer = Some(writer);
        self.hold_against_heads(self.end)
    }

    fn leave(&mut self) -> Result<(), Stop> {
        let Some(heads) = self.heads.as_mut().filter(|_| self.writer.is_some()) else { return Ok(()) };
        heads.leave(&self.end).map_err(|why| self.broken(why))
    }

    fn hold_against_heads(&mut self, link: Link) -> Result<(), Stop> {
        let (Some(heads), Some(writer)) = (&mut self.heads, &self.writer) else { return Ok(()) };
        heads.pass(writer, &link)?.map_err(|why| self.broken(why))
    }

    /// At the record behind those that are whole.
    fn broken(&self, why: Damage) -> Stop {
        let writer = self.writer.clone().unwrap_or_default();
        Stop::Found(Verified::Broken { writer, number: (self.end.number + 1).unsigned_abs(), why })
    }

    /// Where the chain is behind a record.
    fn follow(&self, number: i64, prev_hash: &[u8], hash: &[u8], body: &[u8]) -> Result<Link, Damage> {
        if number < 1 {
            return Err(Damage::BeforeTheFirst { number });
        }
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
    fn audience(&self, told: Option<Told>) -> Result<(), Damage> {
        let Some((tenant, digest)) = told.and_then(|told| Some((told.tenant, told.audience?))) else { return Ok(()) };
        self.audiences.get(&(tenant, digest)).cloned().unwrap_or(Err(Damage::AudienceMissing(digest)))
    }
}
