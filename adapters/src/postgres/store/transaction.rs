//! One group of appends as one transaction, under a deadline.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use sluice_domain::store::Append;
use sluice_schema::{
    event::RecordedEvent,
    position::{Partition, ReadVector},
};
use sqlx::{PgConnection, postgres::PgDatabaseError};
use tokio::time::timeout;

use super::{
    decide::{Answer, Decisions},
    statements,
};
use crate::{failpoint, placement::Placement, postgres::error::Failed, record::common_routing_key};

/// Why a group was not written.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server said no, and the transaction is rolled back: nothing happened. `again`: another node was in between, or one
    /// append of several is bad.
    Refused { why: Failed, again: bool },
    /// The connection is of no more use; COMMIT was not sent, so nothing happened.
    Broken(Failed),
    /// The connection is of no more use, and COMMIT was sent.
    Unknown(Failed),
}

/// A committed group: an answer for each append, and how far each partition is.
pub(super) struct Written {
    pub(super) answers: Vec<Answer>,
    pub(super) heads: ReadVector,
    /// What was written, if anything was.
    pub(super) events: Vec<Arc<RecordedEvent>>,
}

/// After an error the connection may be used only where it is [`Fault::Refused`].
pub(super) async fn run(
    db: &mut PgConnection,
    placement: &Placement,
    appends: &[&Append],
    deadline: Duration,
) -> Result<Written, Fault> {
    let written = match timeout(deadline, prepare(db, placement, appends)).await {
        Ok(Ok(written)) => written,
        Ok(Err(error)) => return Err(roll_back(db, error, deadline).await),
        Err(_) => return Err(Fault::Broken(Failed("PostgreSQL did not answer in time".into()))),
    };
    failpoint::pass("store.before-commit").await;
    commit(db, deadline).await?;
    failpoint::pass("store.after-commit").await;
    Ok(written)
}

/// Everything up to COMMIT.
async fn prepare(db: &mut PgConnection, placement: &Placement, appends: &[&Append]) -> Result<Written, sqlx::Error> {
    let locked = statements::begin(db, &partitions(placement, appends)).await?;
    let (found, heads) = statements::find(db, appends).await?;
    if found.len() != appends.len() {
        return Err(sqlx::Error::RowNotFound);
    }
    let mut decisions = Decisions::new(placement, locked, heads);
    let now = Timestamp::now().as_millisecond();
    let answers = appends.iter().zip(found).map(|(append, found)| decisions.decide(append, found, now)).collect();
    if !decisions.writes.heads.is_empty() {
        statements::write(db, &decisions.writes).await?;
    }
    let events = decisions.writes.events.iter().map(|written| written.event.clone()).collect();
    Ok(Written { answers, heads: decisions.vector().clone(), events })
}

fn partitions(placement: &Placement, appends: &[&Append]) -> BTreeSet<Partition> {
    let of_append = |append: &&Append| Some(placement.partition(append.tenant.as_str(), common_routing_key(append)?));
    appends.iter().filter_map(of_append).collect()
}

async fn commit(db: &mut PgConnection, deadline: Duration) -> Result<(), Fault> {
    match timeout(deadline, sqlx::raw_sql("COMMIT").execute(&mut *db)).await {
        Ok(Ok(_)) => Ok(()),
        // An error (nothing worse) in answer to COMMIT: the server has rolled back.
        Ok(Err(error)) if is_plain(&error) => Err(Fault::Refused { again: may_repeat(&error), why: error.into() }),
        Ok(Err(error)) => Err(Fault::Unknown(error.into())),
        Err(_) => Err(Fault::Unknown(Failed("PostgreSQL did not answer to COMMIT in time".into()))),
    }
}

async fn roll_back(db: &mut PgConnection, error: sqlx::Error, deadline: Duration) -> Fault {
    if !is_plain(&error) {
        return Fault::Broken(error.into());
    }
    match timeout(deadline, sqlx::raw_sql("ROLLBACK").execute(db)).await {
        Ok(Ok(_)) => Fault::Refused { again: may_repeat(&error), why: error.into() },
        _ => Fault::Broken(error.into()),
    }
}

/// The server answered, and the session goes on.
fn is_plain(error: &sqlx::Error) -> bool {
    let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    error.is_some_and(|error| error.severity() == sqlx::postgres::PgSeverity::Error)
}

/// Classes of SQLSTATE (appendix A of PostgreSQL's manual) that one append may have brought about: its data (22, 54), another
/// node's row (23), another node's transaction (40).
fn may_repeat(error: &sqlx::Error) -> bool {
    let code = crate::postgres::error::sql_state(error).unwrap_or_default();
    ["22", "23", "40", "54"].iter().any(|class| code.starts_with(class))
}
