use sluice_subscriptions::relationships::SCHEMA;

use super::{super::tests::options, *};

#[derive(Default)]
struct Told(Mutex<Vec<Touched>>);

impl Heed for Told {
    fn touched(&self, touched: &[Touched]) {
        self.0.lock().unwrap().extend_from_slice(touched);
    }

    fn known_until(&self, _until: Option<Instant>) {}
}

/// A Watch that nobody answers, under our schema.
fn watcher(heed: &Arc<Told>, bound: Duration) -> Watcher {
    let (client, schema) = (Client::new(&options(1)).unwrap(), Schema::parse(SCHEMA).unwrap());
    let shared = (Arc::new(Expirations::new(schema.clone())), Arc::new(Fresh::new(client.clone(), &schema)));
    let heed: Weak<Told> = Arc::downgrade(heed);
    let watcher = Watcher::new(client, (schema, SCHEMA.to_owned()), shared, heed, bound);
    watcher.is_ours.store(true, Ordering::Relaxed);
    watcher
}

/// A canary that was written comes back.
fn canary(watcher: &Watcher) {
    let update = wire::update(&Update::Touch(watcher.canary.next()));
    watcher.hear(WatchResponse { updates: vec![update], ..WatchResponse::default() }).expect("Watch goes on");
}

/// What was decided in the lapse was not kept, and nobody noted when it ends by itself.
#[tokio::test]
async fn after_a_lapse_everything_is_told_and_while_all_is_known_nothing() {
    for (bound, expected) in [(Duration::from_secs(3600), 1), (Duration::ZERO, 3)] {
        let told = Arc::<Told>::default();
        let watcher = watcher(&told, bound);
        (0..3).for_each(|_| canary(&watcher));
        assert_eq!(*told.0.lock().unwrap(), vec![Touched::Everything; expected], "{bound:?}");
    }
}
