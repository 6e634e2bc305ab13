//! A network that swallows what is said: connections stay open, and nobody answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_adapters::postgres::{PostgresAudit, PostgresStore, StoreOptions};
use sluice_domain::store::{AppendError, EventStore};
use sluice_schema::sealed::Sealed;
use sluice_subscriptions::{
    audit::{AuditTrail, Verified, contract::records},
    log::EventLog,
};
use tokio::{task::JoinSet, time::timeout};

use super::{
    database::{Database, append, append_of},
    proxy::Proxy,
};

const DEADLINE: Duration = Duration::from_secs(1);
/// The deadline is for each step, with half a second's grace to the server; two steps may fail one after the other.
const BOUND: Duration = Duration::from_secs(5);

async fn open(database: &Database) -> (Proxy, Arc<PostgresStore>) {
    let proxy = Proxy::to(database).await;
    let store = PostgresStore::open(&proxy.connect(DEADLINE).await, StoreOptions::default()).await.unwrap();
    (proxy, Arc::new(store))
}

/// So many loads at the same time; how many were answered.
async fn load(store: &Arc<PostgresStore>, loads: usize) -> usize {
    let mut loading = JoinSet::new();
    for _ in 0..loads {
        let (store, append) = (store.clone(), append_of("c-0"));
        loading.spawn(async move { store.load(&append.tenant, &append.stream).await });
    }
    loading.join_all().await.iter().filter(|loaded| loaded.is_ok()).count()
}

#[tokio::test]
async fn a_silent_network_is_unavailable_in_time_and_all_of_it_works_again() {
    let database = Database::migrated().await;
    let (proxy, store) = open(&database).await;
    append(store.as_ref(), "c-0").await;
    for round in 1..=3 {
        assert_eq!(load(&store, 8).await, 8);
        proxy.swallow();
        let began = Instant::now();
        let refused = store.append(append_of(&format!("c-{round}"))).await;
        assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
        let began = Instant::now();
        assert_eq!(load(&store, 8).await, 0);
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
        proxy.carry_again();
        append(store.as_ref(), &format!("c-{round}")).await;
        assert_eq!(load(&store, 8).await, 8, "a dead connection of the pool is not waited for");
    }
}

/// The queue is bounded by size: what does not fit is refused, what fits is refused when its time is over, and all are heard.
#[tokio::test]
async fn many_appends_into_a_silent_network_are_all_refused_in_time() {
    const APPENDS: usize = 2000;
    let database = Database::migrated().await;
    let (proxy, store) = open(&database).await;
    append(store.as_ref(), "c-0").await;
    proxy.swallow();
    let payload = Sealed(vec![7; 64 << 10].into());
    let (began, mut appending) = (Instant::now(), JoinSet::new());
    for number in 0..APPENDS {
        let (store, mut append) = (store.clone(), append_of(&format!("c-{number}-large")));
        append.events[0].payload = payload.clone();
        appending.spawn(async move { store.append(append).await });
    }
    let outcomes = appending.join_all().await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    let (mut no_room, mut late) = (0, 0);
    for outcome in outcomes {
        let Err(AppendError::Unavailable(why)) = outcome else { panic!("{outcome:?}") };
        assert!(why.ends_with("nothing was written"), "{why}");
        no_room += usize::from(why.starts_with("too much waits"));
        late += usize::from(why.starts_with("it waited too long"));
    }
    assert!(no_room > 0 && late > 0, "{no_room} had no room, {late} waited too long");
    proxy.carry_again();
    append(store.as_ref(), "c-1").await;
    let events = "SELECT count(*) FROM sluice.events";
    let events: i64 = sqlx::query_scalar(events).fetch_one(&mut database.raw().await).await.unwrap();
    assert_eq!(events, 2);
}

#[tokio::test]
async fn many_audit_records_into_a_silent_network_are_all_refused_in_time() {
    const CALLS: u32 = 3000;
    let database = Database::migrated().await;
    let proxy = Proxy::to(&database).await;
    let audit = Arc::new(PostgresAudit::open(&proxy.connect(DEADLINE).await, "node-1").await.unwrap());
    audit.append(records(0)).await.unwrap();
    proxy.swallow();
    let (began, mut appending) = (Instant::now(), JoinSet::new());
    for number in 1..=CALLS {
        let audit = audit.clone();
        appending.spawn(async move { audit.append(records(number)).await });
    }
    let outcomes = appending.join_all().await;
    assert!(outcomes.iter().all(Result::is_err));
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    proxy.carry_again();
    audit.append(records(CALLS + 1)).await.unwrap();
    assert_eq!(audit.verify().await.unwrap(), Verified::Intact { records: 8 });
}

/// What others appended meanwhile is heard of once the network carries again.
#[tokio::test]
async fn a_follower_follows_again_after_a_silence() {
    let database = Database::migrated().await;
    let (proxy, follower) = open(&database).await;
    let other = database.store().await;
    let mut heads = EventLog::heads(follower.as_ref());
    for round in 0..2 {
        proxy.swallow();
        let place = append(&other, &format!("c-{round}")).await;
        assert_eq!(load(&follower, 1).await, 0);
        assert!(heads.borrow().get(place.partition) < place.seq);
        proxy.carry_again();
        let heard = heads.wait_for(|heads| heads.get(place.partition) >= place.seq);
        drop(timeout(Duration::from_secs(60), heard).await.unwrap().unwrap());
    }
}
