//! Against a server in this process, which counts, stalls and errs as told.

mod answers;
mod joining;
mod server;
mod silence;
mod stalls;

use std::{pin::Pin, task::Poll, time::Duration};

use sluice_subscriptions::relationships::{
    Check, Checked, Consistency, ObjectRef, Relationships, RelationshipsError, Revision, SCHEMA,
};

use self::server::Server;
use super::{SpiceDb, SpiceDbOptions};

const DEADLINE: Duration = Duration::from_secs(20);

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Checked, RelationshipsError>> + 'a>>;

async fn connect(server: &Server, deadline: Duration, max_in_flight: usize) -> SpiceDb {
    connect_to(server.port, deadline, max_in_flight).await
}

async fn connect_to(port: u16, deadline: Duration, max_in_flight: usize) -> SpiceDb {
    let options = SpiceDbOptions { deadline, max_in_flight, ..options(port) };
    SpiceDb::connect(&options, SCHEMA).await.unwrap()
}

/// Of a server at this port; nobody answers at port 1.
pub(super) fn options(port: u16) -> SpiceDbOptions {
    SpiceDbOptions {
        endpoint: format!("http://127.0.0.1:{port}"),
        preshared_key: "key".into(),
        ca_file: None,
        deadline: Duration::from_secs(1),
        max_in_flight: 1,
        max_staleness: Duration::ZERO,
    }
}

fn checks<'a>(users: impl IntoIterator<Item = &'a str>) -> Vec<Check> {
    let tenant = "acme".parse().unwrap();
    let check = |user| Check {
        resource: ObjectRef::new("member", &tenant, "m-1"),
        permission: "see_as_member".into(),
        subject: ObjectRef::new("user", &tenant, user),
    };
    users.into_iter().map(check).collect()
}

/// One caller's call, as far as it goes without waiting: into the queue.
async fn begin(spicedb: &SpiceDb, consistency: Consistency, checks: Vec<Check>) -> Asking<'_> {
    begin_with(async move { spicedb.check_many(consistency, &checks).await }).await
}

async fn begin_with<'a>(asking: impl Future<Output = Result<Checked, RelationshipsError>> + 'a) -> Asking<'a> {
    // However many callers one test has, tokio lets it poll on.
    let mut asking: Asking<'a> = Box::pin(tokio::task::unconstrained(asking));
    let poll = std::future::poll_fn(|context| Poll::Ready(asking.as_mut().poll(context))).await;
    assert!(poll.is_pending());
    asking
}

async fn ask(spicedb: &SpiceDb, users: &[&str]) -> Result<Vec<bool>, RelationshipsError> {
    let checked = spicedb.check_many(Consistency::Full, &checks(users.iter().copied())).await;
    checked.map(|checked| checked.allowed)
}

fn at_least(revision: &str) -> Consistency {
    Consistency::AtLeast(Revision(revision.into()))
}
