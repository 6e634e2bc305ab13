use jiff::Timestamp;
use sluice_schema::viewer::PurposeOfUse;

use super::*;

pub(in super::super) fn viewer(tenant: &str, user: &str) -> Viewer {
    Viewer {
        tenant: tenant.parse().unwrap(),
        user: user.parse().unwrap(),
        actor: None,
        purpose: PurposeOfUse::Treatment,
        expires: Timestamp::MAX.into(),
        token: Default::default(),
    }
}

fn viewers() -> Arc<Viewers> {
    Arc::new(Viewers::new(&TransportConfig {
        max_connections_per_viewer: 2,
        max_in_flight_per_viewer: 3,
        max_operations_per_second: 10,
        max_operations_burst: 20,
        max_unauthenticated: 1,
        ..TransportConfig::default()
    }))
}

impl Viewers {
    fn counted(&self) -> usize {
        self.lock().len()
    }
}

#[tokio::test(start_paused = true)]
async fn connections_and_operations_are_counted_for_each_viewer_alone() {
    let viewers = viewers();
    let nora = viewer("north", "nora");
    let for_payment = Viewer { purpose: PurposeOfUse::Payment, ..nora.clone() };
    let mut connections = vec![viewers.connect(&nora).unwrap(), viewers.connect(&for_payment).unwrap()];
    let busy = viewers.connect(&nora).err().expect("one too many");
    assert_eq!((busy.error.code, busy.retry), (Code::LimitExceeded, AGAIN));
    let operations: Vec<_> = (0..3).map(|_| viewers.operate(&nora).expect("they are counted apart")).collect();
    assert!(viewers.operate(&nora).is_err());

    for other in [viewer("north", "otto"), viewer("south", "nora")] {
        assert!(viewers.connect(&other).is_ok() && viewers.operate(&other).is_ok());
    }
    connections.pop();
    assert!(viewers.connect(&nora).is_ok());
    drop((connections, operations));
    assert_eq!(viewers.counted(), 0, "nobody is remembered who has nothing");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_begins_as_many_as_its_rate_lets() {
    let viewers = viewers();
    let (nora, otto) = (viewer("north", "nora"), viewer("north", "otto"));
    let begun =
        |viewer: &Viewer| std::iter::repeat_with(|| viewers.begin(viewer)).take(100).filter(Result::is_ok).count();
    assert_eq!((begun(&nora), begun(&nora), begun(&otto)), (20, 0, 20));
    let busy = viewers.begin(&nora).unwrap_err();
    assert_eq!(busy.retry, Duration::from_millis(100));
    assert_eq!(busy.error.details["retryAfterMs"], 100);
    tokio::time::advance(busy.retry).await;
    assert_eq!(begun(&nora), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(begun(&nora), 10);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(begun(&nora), 20, "idle time is not saved up");
}

#[tokio::test(start_paused = true)]
async fn idle_viewers_are_forgotten() {
    let viewers = viewers();
    let mut most = 0;
    for round in 0..20 {
        for user in 0..1_000 {
            viewers.begin(&viewer("north", &format!("u-{round}-{user}"))).unwrap();
            most = most.max(viewers.rates.len());
        }
        // By then each may begin as many as somebody new.
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    assert!(most <= 2 * 1_000 + REMEMBERED, "{most} were remembered");
}

#[tokio::test(start_paused = true)]
async fn room_for_those_who_are_not_known_is_bounded() {
    let viewers = viewers();
    let room = viewers.unauthenticated().expect("the first");
    assert!(viewers.unauthenticated().is_none());
    drop(room);
    assert!(viewers.unauthenticated().is_some());
}
