use std::sync::Arc;

use prost::Name;
use sluice_schema::{
    error::Code,
    proto::eligibility::{EligibilityCheckChanged, EligibilityState, Failure},
    viewer::PurposeOfUse,
};

use super::*;
use crate::{
    eligibility::{arbitrary::any_command, history},
    publish::{member_key, open},
    store::Page,
    twins::{MemoryKeyring, MemoryStore, ScriptedPayer, request_input},
};

struct Setup {
    store: Arc<MemoryStore>,
    keyring: Arc<MemoryKeyring>,
    service: EligibilityService,
}

fn setup() -> Setup {
    let (store, keyring) = (Arc::new(MemoryStore::default()), Arc::new(MemoryKeyring::default()));
    let service = EligibilityService::new(store.clone(), keyring.clone(), Arc::new(ScriptedPayer::default()))
        .with_clock(Arc::new(|| "2026-11-24T08:30:00.125Z".parse().expect("time")));
    Setup { store, keyring, service }
}

fn viewer(tenant: &str, user: &str) -> Viewer {
    Viewer {
        tenant: tenant.parse().expect("id"),
        user: user.parse().expect("id"),
        actor: None,
        purpose: PurposeOfUse::Treatment,
        expires: "2027-01-01T00:00:00Z".parse::<jiff::Timestamp>().expect("time").into(),
        token: Default::default(),
    }
}

fn cause() -> Cause {
    Cause { correlation_id: "c-1".into(), ..Cause::default() }
}

impl Setup {
    async fn request(&self, key: &str) -> Outcome {
        self.service.request(&viewer("acme", "u-1"), &request_input(), key, &cause()).await.expect("accepted")
    }
}

fn id(outcome: &Outcome) -> CheckId {
    outcome.check.id.parse().expect("id")
}

#[tokio::test]
async fn a_request_is_two_sealed_events_with_full_headers() {
    let setup = setup();
    let outcome = setup.request("k-1").await;
    assert_eq!(outcome.check.state(), EligibilityState::Accepted);
    assert!(!outcome.repeated);

    let events = setup.store.events();
    let types: Vec<_> = events.iter().map(|event| event.header.r#type.clone()).collect();
    assert_eq!(types, [EligibilityCheckRequested::full_name(), EligibilityCheckChanged::full_name()]);
    assert_eq!(outcome.event_id, events[1].header.event_id);
    assert_eq!(outcome.position, events[1].position);
    let header = &events[0].header;
    assert_eq!(header.channel, format!("/members/m-1/eligibility/{}", outcome.check.id));
    assert_eq!(header.routing_key, Some(member_key(&"m-1".parse().expect("id"))));
    assert_eq!((header.tenant.as_str(), header.correlation_id.as_str(), header.schema_version), ("acme", "c-1", 1));
    let provenance = header.provenance.clone().expect("provenance");
    assert_eq!((provenance.actor.as_str(), provenance.purpose_of_use.as_str()), ("u-1", "TREAT"));
    assert_eq!(outcome.check.requested_at, header.occurred_at);
}

#[tokio::test]
async fn what_no_store_takes_is_refused_for_good_and_leaves_nothing() {
    let setup = setup();
    setup.store.limit_events(100);
    let refused = setup.service.request(&viewer("acme", "u-1"), &request_input(), "k-1", &cause()).await;
    let refused = refused.expect_err("too large");
    assert_eq!(refused.code, Code::LimitExceeded);
    assert!(refused.message.contains("100 bytes"), "{refused}");
    assert!(setup.store.events().is_empty());
    setup.store.limit_events(100_000);
    assert!(!setup.request("k-1").await.repeated, "the key is not used");
}

#[tokio::test]
async fn nothing_of_the_input_is_in_the_clear() {
    let setup = setup();
    setup.request("k-1").await;
    for event in setup.store.events() {
        let clear = format!("{:?} {:?}", event.header, event.payload.0);
        for secret in ["Ada", "Quill", "W0042", "1984-02-29", "1234567893"] {
            assert!(!clear.contains(secret), "{secret}");
        }
    }
}

#[tokio::test]
async fn the_same_key_and_input_give_the_same_check() {
    let setup = setup();
    let first = setup.request("k-1").await;
    let again = setup.request("k-1").await;
    assert_eq!(again, Outcome { repeated: true, ..first.clone() });
    assert_ne!(id(&setup.request("k-2").await), id(&first));
    let other = setup.service.request(&viewer("acme", "u-2"), &request_input(), "k-1", &cause()).await;
    assert_ne!(id(&other.expect("another person's key")), id(&first));
}

#[tokio::test]
async fn the_same_key_with_another_input_is_refused() {
    let setup = setup();
    setup.request("k-1").await;
    let mut input = request_input();
    input.member_id = "m-2".into();
    let error = setup.service.request(&viewer("acme", "u-1"), &input, "k-1", &cause()).await.expect_err("conflict");
    assert_eq!(error.code, Code::IdempotencyConflict);
    assert_eq!(setup.store.events().len(), 2, "nothing was written");
}

#[tokio::test]
async fn a_repeat_answers_with_the_check_as_it_stands() {
    let setup = setup();
    let first = setup.request("k-1").await;
    setup.service.cancel(&viewer("acme", "u-1"), &id(&first), &cause()).await.expect("cancelled");
    assert_eq!(setup.request("k-1").await.check.state(), EligibilityState::Cancelled);
}

#[tokio::test]
async fn what_is_finished_or_missing_is_not_cancelled() {
    let setup = setup();
    let acme = viewer("acme", "u-1");
    let check = id(&setup.request("k-1").await);
    assert!(setup.service.cancel(&acme, &check, &cause()).await.is_ok());
    let again = setup.service.cancel(&acme, &check, &cause()).await.expect_err("finished");
    assert_eq!(again.code, Code::Conflict);
    let missing = setup.service.cancel(&acme, &CheckId::generate(), &cause()).await.expect_err("missing");
    assert_eq!(missing, ClientError::not_found());
}

#[tokio::test]
async fn another_tenant_finds_nothing_under_the_same_ids() {
    let setup = setup();
    let check = id(&setup.request("k-1").await);
    let other = viewer("globex", "u-1");
    assert_eq!(setup.service.cancel(&other, &check, &cause()).await, Err(ClientError::not_found()));
    let found = setup.service.reader().current(&other.tenant, &[check]).await.expect("reads");
    assert!(found[0].is_none());
}

#[tokio::test]
async fn an_erased_member_has_no_checks() {
    let setup = setup();
    let acme = viewer("acme", "u-1");
    let check = id(&setup.request("k-1").await);
    setup.keyring.erase(&acme.tenant, &member_key(&"m-1".parse().expect("id")));
    let reader = setup.service.reader();
    assert!(reader.current(&acme.tenant, std::slice::from_ref(&check)).await.expect("reads")[0].is_none());
    let page = Page { after: None, limit: 10 };
    assert!(reader.list(&acme.tenant, &"m-1".parse().expect("id"), &page).await.expect("reads").is_empty());
    assert_eq!(setup.service.cancel(&acme, &check, &cause()).await, Err(ClientError::not_found()));
}

#[tokio::test]
async fn a_list_is_newest_first_and_continues() {
    let setup = setup();
    let mut ids = Vec::new();
    for key in ["k-1", "k-2", "k-3"] {
        ids.insert(0, setup.request(key).await.check.id);
    }
    let (reader, tenant) = (setup.service.reader(), "acme".parse().expect("id"));
    let member = "m-1".parse().expect("id");
    let mut page = Page { after: None, limit: 2 };
    let mut found = reader.list(&tenant, &member, &page).await.expect("reads");
    page.after = found.last().map(|current| current.check.id.clone());
    found.extend(reader.list(&tenant, &member, &page).await.expect("reads"));
    assert_eq!(found.iter().map(|current| current.check.id.clone()).collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn a_store_that_is_away_leaves_it_open_and_says_so() {
    let setup = setup();
    setup.store.break_appends(1);
    let result = setup.service.request(&viewer("acme", "u-1"), &request_input(), "k-1", &cause()).await;
    assert_eq!(result.expect_err("away").code, Code::Unavailable);
    assert!(!setup.request("k-1").await.repeated);
}

/// Whatever is asked in whatever order: the folded stream is what the last event holds, and its `changed` is what differs.
async fn replay_is_live(commands: Vec<Command>) {
    let setup = setup();
    let acme = viewer("acme", "u-1");
    let check = id(&setup.request("k-1").await);
    for command in commands.into_iter().filter(|command| !matches!(command, Command::Request(_))) {
        let recorded = setup.service.record(&acme.tenant, &check, command, &cause(), &Provenance::default()).await;
        recorded.expect("the store works");
        let (store, keyring) = (setup.store.as_ref(), setup.keyring.as_ref());
        let replayed = history::load(store, keyring, &acme.tenant, &check).await.expect("loads");
        let current = setup.service.reader().current(&acme.tenant, std::slice::from_ref(&check)).await.expect("reads");
        let live = current[0].clone().expect("there");
        assert_eq!(replayed.check.as_ref(), Some(&live.check));
        let payload = open(keyring, &acme.tenant, &live.event).await.expect("opens").expect("not erased");
        let changed_event = EligibilityCheckChanged::decode(payload).expect("decodes");
        let before = changed_event.before.expect("was there before");
        assert_eq!(changed_event.changed, crate::changes::changed(Some(&before), &live.check));
        assert_eq!(before.state(), EligibilityState::Accepted);
    }
    assert_eq!(setup.store.events().len(), 4, "one request and one end");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn replayed_state_equals_live_state(mut commands in proptest::collection::vec(any_command(), 0..6)) {
        commands.push(Command::Fail(Failure::default()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(replay_is_live(commands));
    }
}

#[tokio::test]
async fn of_many_at_once_one_wins() {
    let setup = setup();
    let check = id(&setup.request("k-1").await);
    let acme = viewer("acme", "u-1");
    let (the_cause, provenance) = (cause(), Provenance::default());
    let answer =
        || setup.service.record(&acme.tenant, &check, Command::Answer(Box::default()), &the_cause, &provenance);
    let (a, b, c) = tokio::join!(answer(), setup.service.cancel(&acme, &check, &the_cause), answer());
    let wins = [a.expect("recorded") == Recorded::Done, b.is_ok(), c.expect("recorded") == Recorded::Done];
    assert_eq!(wins.iter().filter(|won| **won).count(), 1, "{wins:?}");
}
