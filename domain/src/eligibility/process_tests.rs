use sluice_schema::{
    proto::eligibility::{Coverage, EligibilityCheck, Rejection},
    viewer::{PurposeOfUse, Viewer},
};

use super::*;
use crate::{
    eligibility::payer::{PayerAnswer, PayerError},
    publish::member_key,
    store::EventStore,
    twins::{MemoryKeyring, MemoryStore, ScriptedPayer, Step, request_input},
};

/// A requested check, and a process whose payer follows a script.
struct Setup {
    store: Arc<MemoryStore>,
    keyring: Arc<MemoryKeyring>,
    payer: Arc<ScriptedPayer>,
    process: EligibilityProcess,
    event: Arc<RecordedEvent>,
    check: CheckId,
}

async fn requested(script: impl IntoIterator<Item = Step>) -> Setup {
    let (store, keyring) = (Arc::new(MemoryStore::default()), Arc::new(MemoryKeyring::default()));
    let payer = Arc::new(ScriptedPayer::new(script));
    let service = EligibilityService::new(store.clone(), keyring.clone(), payer.clone());
    let outcome = service.request(&viewer(), &request_input(), "k-1", &Cause::default()).await.expect("accepted");
    let process = EligibilityProcess::new(service, ProcessConfig::default());
    let event = store.events()[0].clone();
    Setup { store, keyring, payer, process, event, check: outcome.check.id.parse().expect("id") }
}

fn viewer() -> Viewer {
    Viewer {
        tenant: "acme".parse().expect("id"),
        user: "u-1".parse().expect("id"),
        actor: None,
        purpose: PurposeOfUse::Treatment,
        expires: "2099-01-01T00:00:00Z".parse::<jiff::Timestamp>().expect("time").into(),
        token: Default::default(),
    }
}

impl Setup {
    async fn handle(&self) {
        self.process.handle(&self.event).await.expect("dealt with");
    }

    async fn check(&self) -> EligibilityCheck {
        let reader = self.process.service.reader();
        let found = reader.current(&viewer().tenant, std::slice::from_ref(&self.check)).await.expect("reads");
        found[0].clone().expect("there").check
    }

    async fn ended(&self) -> (EligibilityState, Option<String>) {
        let check = self.check().await;
        (check.state(), check.failure.map(|failure| failure.code))
    }

    fn calls(&self) -> usize {
        *self.payer.calls().borrow()
    }
}

fn aaa(code: &str) -> Vec<Rejection> {
    vec![Rejection { code: Some(code.into()), ..Rejection::default() }]
}

fn away(rejections: Vec<Rejection>) -> Step {
    Step::Now(Err(PayerError::Unavailable(rejections)))
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_recorded_with_its_cause() {
    let setup = requested([Step::After(Duration::from_secs(10), Ok(ScriptedPayer::active()))]).await;
    setup.handle().await;
    let check = setup.check().await;
    assert_eq!(check.state(), EligibilityState::Answered);
    assert_eq!(check.coverage.and_then(|coverage| coverage.active), Some(true));
    let answered = &setup.store.events()[2].header;
    assert_eq!(answered.causation_id, setup.event.header.event_id);
    let provenance = answered.provenance.clone().expect("provenance");
    assert_eq!((provenance.actor.as_str(), provenance.system.as_str()), ("u-1", "clearinghouse"));
}

#[tokio::test(start_paused = true)]
async fn a_payer_that_never_answers_times_out_at_the_deadline() {
    let setup = requested([Step::Never]).await;
    let begun = Instant::now();
    setup.handle().await;
    // tokio's clock has a grain of a millisecond.
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(120) && took < Duration::from_millis(120_010), "{took:?}");
    assert_eq!(setup.ended().await, (EligibilityState::Failed, Some("PAYER_TIMEOUT".into())));
}

#[tokio::test(start_paused = true)]
async fn a_payer_that_recovers_is_asked_again() {
    let setup = requested([away(vec![]), away(aaa("42"))]).await;
    setup.handle().await;
    assert_eq!((setup.ended().await.0, setup.calls()), (EligibilityState::Answered, 3));
}

#[tokio::test(start_paused = true)]
async fn a_payer_that_stays_away_fails_the_check_within_the_deadline() {
    let setup = requested((0..1000).map(|_| away(vec![]))).await;
    let begun = Instant::now();
    setup.handle().await;
    assert!(begun.elapsed() <= Duration::from_secs(120));
    assert!((6..=20).contains(&setup.calls()), "waits double: {}", setup.calls());
    assert_eq!(setup.ended().await, (EligibilityState::Failed, Some("PAYER_UNAVAILABLE".into())));
}

#[tokio::test(start_paused = true)]
async fn a_payer_that_keeps_saying_42_has_rejected_the_check() {
    let setup = requested((0..1000).map(|_| away(aaa("42")))).await;
    setup.handle().await;
    let check = setup.check().await;
    assert_eq!((check.state(), check.rejections, check.failure), (EligibilityState::Rejected, aaa("42"), None));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_final() {
    let setup = requested([Step::Now(Ok(PayerAnswer::Rejected(aaa("72"))))]).await;
    setup.handle().await;
    assert_eq!((setup.check().await.rejections, setup.calls()), (aaa("72"), 1));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_answer_fails_the_check_at_once() {
    let setup = requested([Step::Now(Err(PayerError::Unreadable("no benefits".into())))]).await;
    setup.handle().await;
    assert_eq!(setup.ended().await, (EligibilityState::Failed, Some("PAYER_UNREADABLE".into())));
    assert_eq!(setup.calls(), 1);
}

/// It would be tried for ever, and the worker's checkpoint would stay behind it.
#[tokio::test(start_paused = true)]
async fn an_answer_that_no_store_takes_fails_the_check() {
    let coverage = Coverage { plan_name: Some("x".repeat(100_000)), ..Coverage::default() };
    let setup = requested([Step::Now(Ok(PayerAnswer::Coverage(Box::new(coverage))))]).await;
    setup.store.limit_events(50_000);
    let begun = Instant::now();
    setup.handle().await;
    assert_eq!(setup.ended().await, (EligibilityState::Failed, Some("PAYER_TOO_LARGE".into())));
    assert_eq!((setup.calls(), begun.elapsed()), (1, Duration::ZERO), "nothing is waited for");
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_cancelled_check_is_dropped() {
    let setup = requested([Step::After(Duration::from_secs(10), Ok(ScriptedPayer::active()))]).await;
    let mut calls = setup.payer.calls();
    let cancel = async {
        calls.wait_for(|calls| *calls == 1).await.expect("the payer lives");
        setup.process.service.cancel(&viewer(), &setup.check, &Cause::default()).await.expect("cancelled");
    };
    tokio::join!(setup.handle(), cancel);
    assert_eq!(setup.ended().await.0, EligibilityState::Cancelled);
    assert_eq!(setup.store.events().len(), 4, "nothing after the cancellation");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_cancelled_first_is_never_asked() {
    let setup = requested([]).await;
    setup.process.service.cancel(&viewer(), &setup.check, &Cause::default()).await.expect("cancelled");
    setup.handle().await;
    assert_eq!(setup.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_same_event_twice_has_one_outcome() {
    let slow = || Step::After(Duration::from_secs(1), Ok(ScriptedPayer::active()));
    let setup = requested([slow(), slow()]).await;
    tokio::join!(setup.handle(), setup.handle());
    setup.handle().await;
    assert_eq!(setup.store.events().len(), 4);
    assert_eq!(setup.calls(), 2, "the third run found it finished");
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_for_a_store_that_is_away() {
    let setup = requested([]).await;
    setup.store.break_appends(3);
    setup.handle().await;
    assert_eq!((setup.ended().await.0, setup.calls()), (EligibilityState::Answered, 1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_the_workers_to_wait_for() {
    let setup = requested([]).await;
    setup.store.break_appends(6);
    let error = setup.process.handle(&setup.event).await.expect_err("away");
    assert!(matches!(error, ProcessError::Unavailable(_)));
    setup.handle().await;
    assert_eq!(setup.ended().await.0, EligibilityState::Answered);
}

#[tokio::test(start_paused = true)]
async fn an_erased_member_is_not_asked_about() {
    let setup = requested([]).await;
    setup.keyring.erase(&viewer().tenant, &member_key(&"m-1".parse().expect("id")));
    setup.handle().await;
    assert_eq!((setup.calls(), setup.store.events().len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn other_events_are_passed_by() {
    let setup = requested([]).await;
    let changed = setup.store.events()[1].clone();
    setup.process.handle(&changed).await.expect("passed by");
    assert_eq!(setup.calls(), 0);
    assert_eq!(setup.store.heads().0.iter().sum::<u64>(), 2);
}
