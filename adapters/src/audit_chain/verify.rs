//! Verifying a trail, wherever it is kept: chains, the audiences that records name, and the indexes that find them.

use std::{borrow::Cow, collections::HashMap};

use async_trait::async_trait;
use sluice_subscriptions::audit::{AuditUnavailable, Damage, Digest, Index, Verified};

use super::{
    told::users_of_audience,
    walk::{Page, Row, Walk},
};
use crate::audit_heads::TrustedHeads;

/// How many audiences are read at once: they can be large.
const AUDIENCES: usize = 16;

/// How many rows of an index are asked for at once.
const ROWS: usize = 4096;

/// What an index must find a record by.
pub(crate) struct Wanted<'p> {
    /// The record's place in its page.
    pub(super) record: usize,
    pub(crate) tenant: &'p str,
    /// A user, a patient, or an audience's name in hexadecimal digits.
    pub(crate) id: Cow<'p, str>,
    pub(crate) writer: &'p str,
    pub(crate) number: i64,
}

/// A user who must be found in an audience.
pub(crate) struct Member<'p> {
    pub(crate) tenant: &'p str,
    pub(crate) user: &'p str,
    pub(crate) digest: Digest,
}

/// Where a trail is read from. What one transaction wrote is read whole or not at all.
#[async_trait]
pub(crate) trait Source: Sync {
    /// The next records from a writer and a number on, in this order; none at the end.
    async fn page(&self, from: (&str, i64)) -> Result<Vec<Row>, AuditUnavailable>;

    /// What is kept under these names, as bytes: an altered one need not be text.
    async fn audiences(&self, names: &[Digest]) -> Result<HashMap<Digest, Vec<u8>>, AuditUnavailable>;

    /// The places in `wanted` of what an index does not have.
    async fn missing(&self, index: Index, wanted: &[Wanted<'_>]) -> Result<Vec<usize>, AuditUnavailable>;

    /// The places in `members` of those who are not found.
    async fn missing_members(&self, members: &[Member<'_>]) -> Result<Vec<usize>, AuditUnavailable>;
}

/// Walks every chain from its beginning, telling now and then how many records it has checked.
pub(crate) async fn verify(
    source: &impl Source,
    heads: Option<&mut TrustedHeads>,
    mut progress: impl FnMut(u64) + Send,
) -> Result<Verified, AuditUnavailable> {
    let mut walk = Walk::new(heads);
    loop {
        let mut page = Page::of(source.page(walk.place()).await?);
        look_at_audiences(source, &mut walk, &page).await?;
        look_up(source, &mut page).await?;
        if let Some(finding) = walk.take(page)? {
            return Ok(finding);
        }
        progress(walk.records);
    }
}

/// The audiences that were not looked at yet: are they what their names say, and are their users found?
async fn look_at_audiences(source: &impl Source, walk: &mut Walk<'_>, page: &Page) -> Result<(), AuditUnavailable> {
    for unseen in walk.unseen(page).chunks(AUDIENCES) {
        let mut names: Vec<_> = unseen.iter().map(|(_, digest)| *digest).collect();
        names.dedup();
        let kept = source.audiences(&names).await?;
        for key in unseen {
            let found = match kept.get(&key.1) {
                None => Err(Damage::AudienceMissing(key.1)),
                Some(kept) if Digest::of(kept) != key.1 => Err(Damage::AudienceAltered(key.1)),
                Some(kept) => look_up_members(source, key, kept).await?,
            };
            walk.looked_at(key.clone(), found);
        }
    }
    Ok(())
}

async fn look_up_members(
    source: &impl Source,
    (tenant, digest): &(String, Digest),
    kept: &[u8],
) -> Result<Result<(), Damage>, AuditUnavailable> {
    let users = users_of_audience(kept);
    for users in users.chunks(ROWS) {
        let members: Vec<_> = users.iter().map(|user| Member { tenant, user, digest: *digest }).collect();
        if !source.missing_members(&members).await?.is_empty() {
            return Ok(Err(Damage::NotFoundBy(Index::Users)));
        }
    }
    Ok(Ok(()))
}

/// Whether the indexes find each record by all that it tells of.
async fn look_up(source: &impl Source, page: &mut Page) -> Result<(), AuditUnavailable> {
    for index in [Index::Users, Index::Patients, Index::Audiences] {
        let mut records = Vec::new();
        for wanted in page.wanted(index).chunks(ROWS) {
            let missing = source.missing(index, wanted).await?;
            records.extend(missing.into_iter().filter_map(|place| wanted.get(place)).map(|wanted| wanted.record));
        }
        page.not_found(index, records);
    }
    Ok(())
}
