//! One holder among nodes.

use std::{sync::Arc, time::Duration};

use sluice_adapters::postgres::Postgres;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{database::Database, proxy::Proxy};

const PATIENCE: Duration = Duration::from_secs(60);

/// Tells when its work begins and ends.
struct Telling(&'static str, mpsc::UnboundedSender<String>);

impl Drop for Telling {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.1.send(format!("{} ends", self.0));
    }
}

fn start(db: &Postgres, node: &'static str, told: &mpsc::UnboundedSender<String>, shutdown: &CancellationToken) {
    let (lease, told, shutdown) = (db.lease("relay"), told.clone(), shutdown.clone());
    tokio::spawn(async move {
        let work = || async {
            told.send(format!("{node} works")).unwrap();
            let _telling = Telling(node, told.clone());
            std::future::pending::<()>().await;
        };
        lease.hold(shutdown, work).await;
    });
}

async fn next(told: &mut mpsc::UnboundedReceiver<String>) -> String {
    timeout(PATIENCE, told.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn one_works_and_the_other_takes_over() {
    let database = Arc::new(Database::migrated().await);
    let db = database.connect().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    start(&db, "a", &tell, &first);
    assert_eq!(next(&mut told).await, "a works");
    start(&db, "b", &tell, &second);
    let mut killer = database.raw().await;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(sqlx::query_scalar::<_, i64>(kill).fetch_one(&mut killer).await.unwrap(), 1, "one holds it");
    // The server may give the lock away in the moment before its end is noticed.
    let mut both = [next(&mut told).await, next(&mut told).await];
    both.sort_by_key(|what| what.ends_with("works"));
    let [ended, taken_by] = both;
    assert_eq!(ended, "a ends");
    assert!(taken_by.ends_with("works"), "{taken_by}");
    let (active, waiting) = if taken_by == "b works" { (&second, &first) } else { (&first, &second) };
    active.cancel();
    let (ended, began) = (next(&mut told).await, next(&mut told).await);
    assert_eq!(ended[..1], taken_by[..1]);
    assert_ne!(began[..1], taken_by[..1], "whoever is shut down lets go, and the other one works");
    waiting.cancel();
    assert_eq!(next(&mut told).await[..1], began[..1]);
}

/// Who can't reach the server stops by itself, and may hold the name again later.
#[tokio::test]
async fn a_holder_in_a_silent_network_lets_go() {
    let database = Database::migrated().await;
    let proxy = Proxy::to(&database).await;
    let (cut_off, other) = (proxy.connect(Duration::from_secs(1)).await, database.connect().await);
    let (tell, mut told) = mpsc::unbounded_channel();
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    start(&cut_off, "a", &tell, &first);
    assert_eq!(next(&mut told).await, "a works");
    start(&other, "b", &tell, &second);
    proxy.swallow();
    let mut both = [next(&mut told).await, next(&mut told).await];
    both.sort();
    assert_eq!(both, ["a ends", "b works"]);
    proxy.carry_again();
    second.cancel();
    assert_eq!([next(&mut told).await, next(&mut told).await], ["b ends", "a works"]);
    first.cancel();
}
