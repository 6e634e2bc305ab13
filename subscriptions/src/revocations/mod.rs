//! Tokens that count no longer, though they are signed and have not expired: the port, and what a node makes of it.
//!
//! [`Revocations`] is what a node asks: it has the list in memory, hears of what other nodes revoke, and ends the sessions that a
//! revocation means.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod list;
#[cfg(any(test, feature = "contract"))]
pub mod memory;
mod node;
mod sessions;

use async_trait::async_trait;
use jiff::Timestamp;
use sluice_schema::{
    ids::{TenantId, UserId},
    token::TokenId,
};

pub use self::{
    node::{Options, Refused, Revocations, Target},
    sessions::{Cut, Session},
};

/// What counts no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    Token(TokenId),
    /// All tokens of a user, and those by which she acts for others, that were issued at this time or before it; whole seconds.
    User {
        user: UserId,
        issued_until: Timestamp,
    },
}

/// One revocation, of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    pub tenant: TenantId,
    pub revoked: Revoked,
    /// From then on no token that it means can be valid; whole seconds.
    pub kept_until: Timestamp,
}

/// How many [`TokenRevocations::behind`] gives at most.
pub const PAGE: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("revoked tokens can't be read or written now: {0}")]
pub struct RevocationsUnavailable(pub String);

/// What was revoked, in an order of its own: each has a place, and one that is read later never has a place before one that
/// was read.
///
/// - `revoke` answers when it is durable; from then on every node's `behind` gives it. The same again is one more.
/// - After an error it may be there or not.
/// - `behind` gives the first [`PAGE`] behind a place, in order, each with its place; 0 is before all. None of it is left out,
///   whoever revokes meanwhile: two nodes that revoke at once come one after the other.
/// - `purge` removes those whose `kept_until` is at `now` or before it, and no others. No place is given twice, not even that of one
///   that was removed.
/// - A future may be dropped at any await; what it was to do may then be done or not.
#[async_trait]
pub trait TokenRevocations: Send + Sync {
    async fn revoke(&self, revocation: &Revocation) -> Result<(), RevocationsUnavailable>;

    async fn behind(&self, place: u64) -> Result<Vec<(u64, Revocation)>, RevocationsUnavailable>;

    async fn purge(&self, now: Timestamp) -> Result<(), RevocationsUnavailable>;

    /// Whether other processes revoke here too: what was read grows old.
    fn is_shared(&self) -> bool;

    /// Resolves once another process may have revoked something, as soon as that is heard of; it may be missed.
    async fn stirred(&self) {
        std::future::pending().await
    }
}
