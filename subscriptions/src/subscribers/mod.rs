//! How far the clients of named subscriptions are: the port.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(any(test, feature = "contract"))]
pub mod memory;
mod named;

use async_trait::async_trait;
use sluice_schema::{
    ids::{SubscriptionName, TenantId, UserId},
    position::Cursor,
};

pub use self::named::Named;

/// The most names that one user may have at a time.
pub const MAX_NAMES: usize = 100;

/// A user's subscription that outlives its connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subscriber {
    pub tenant: TenantId,
    pub user: UserId,
    pub name: SubscriptionName,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribersError {
    #[error("what subscribers have acknowledged can't be read or written now: {0}")]
    Unavailable(String),
    #[error("you have {MAX_NAMES} named subscriptions, the most that are kept: forget one, or use one of their names")]
    TooManyNames,
}

/// The last acknowledged cursor of each named subscription: where a client continues that has kept nothing itself.
///
/// - `acknowledge` says that the client is done with everything that the cursor covers. Within an epoch what is kept only
///   moves on: it is joined with what was acknowledged before, partition by partition. So a cursor that comes late moves
///   nothing back, and two nodes that acknowledge at once come to the same, whoever is first.
/// - A cursor of another epoch replaces what is kept, for epochs have no order: the caller acknowledges none but cursors of the
///   log's own.
/// - It answers when that is durable; then every node's `last` gives it.
/// - A user has at most [`MAX_NAMES`] names. One more is refused, and those she has go on.
/// - Two tenants, users or names share nothing.
/// - A future may be dropped at any await; the cursor may then be kept or not.
///
/// For example: `[3, 9]`, then `[5, 1]` of the same epoch are kept as `[5, 9]`.
#[async_trait]
pub trait SubscriberState: Send + Sync {
    async fn acknowledge(&self, subscriber: &Subscriber, cursor: &Cursor) -> Result<(), SubscribersError>;

    /// `None` where nothing was acknowledged under this name, or it was forgotten.
    async fn last(&self, subscriber: &Subscriber) -> Result<Option<Cursor>, SubscribersError>;

    /// Frees the name. Forgetting what is not there is fine.
    async fn forget(&self, subscriber: &Subscriber) -> Result<(), SubscribersError>;
}

/// What is to be kept once `new` was acknowledged; `None` where nothing changes.
pub fn moved_on(kept: Option<&Cursor>, new: &Cursor) -> Option<Cursor> {
    let Some(kept) = kept.filter(|kept| kept.epoch == new.epoch) else { return Some(new.clone()) };
    if kept.vector.covers(&new.vector) {
        return None;
    }
    let mut joined = kept.clone();
    joined.vector.join(&new.vector);
    Some(joined)
}
