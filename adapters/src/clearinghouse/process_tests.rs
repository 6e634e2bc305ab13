//! From a request to its outcome, as docs/clearinghouse.md says.

use std::{sync::Arc, time::Duration};

use sluice_domain::{
    eligibility::{
        commands::EligibilityService,
        process::{EligibilityProcess, ProcessConfig},
    },
    publish::Cause,
    twins::{MemoryKeyring, MemoryStore, request_input},
};
use sluice_schema::{
    proto::eligibility::{EligibilityCheck, EligibilityState},
    viewer::{PurposeOfUse, Viewer},
};

use super::{Latency, SimulatedClearinghouse};

async fn outcome(payer: &str, card_number: &str, latency: Latency) -> EligibilityCheck {
    let store = Arc::new(MemoryStore::default());
    let clearinghouse = Arc::new(SimulatedClearinghouse::new(latency, 1));
    let service = EligibilityService::new(store.clone(), Arc::new(MemoryKeyring::default()), clearinghouse);
    let viewer = Viewer {
        tenant: "acme".parse().expect("id"),
        user: "u-1".parse().expect("id"),
        actor: None,
        purpose: PurposeOfUse::Treatment,
        expires: "2099-01-01T00:00:00Z".parse::<jiff::Timestamp>().expect("time").into(),
        token: Default::default(),
    };
    let mut input = request_input();
    input.payer_id = payer.into();
    input.subscriber.member_id = card_number.into();
    let accepted = service.request(&viewer, &input, "k-1", &Cause::default()).await.expect("accepted");
    let process = EligibilityProcess::new(service.clone(), ProcessConfig::default());
    process.handle(&store.events()[0]).await.expect("dealt with");
    let ids = [accepted.check.id.parse().expect("id")];
    let found = service.reader().current(&viewer.tenant, &ids).await.expect("reads");
    found.into_iter().flatten().next().expect("there").check
}

#[tokio::test(start_paused = true)]
async fn each_row_of_the_table_ends_in_its_state() {
    let rows = [
        ("60054", "AETNA12345", EligibilityState::Answered, None, None),
        ("87726", "UHCINACTIVE", EligibilityState::Answered, None, None),
        ("87726", "UHCAAA42", EligibilityState::Rejected, Some("42"), None),
        ("87726", "UHCAAA72", EligibilityState::Rejected, Some("72"), None),
        ("87726", "UHCAAA75", EligibilityState::Rejected, Some("75"), None),
        ("87726", "UHCAAA79", EligibilityState::Rejected, Some("79"), None),
        ("SLUICE", "RECOVERS", EligibilityState::Answered, None, None),
        ("SLUICE", "GARBLED", EligibilityState::Failed, None, Some("PAYER_UNREADABLE")),
        ("SLUICE", "NEVER", EligibilityState::Failed, None, Some("PAYER_TIMEOUT")),
        ("CMS", "anything", EligibilityState::Answered, None, None),
    ];
    for (payer, card_number, state, aaa, failure) in rows {
        let check = outcome(payer, card_number, Latency::Fixed(Duration::from_secs(10))).await;
        assert_eq!(check.state(), state, "{card_number}");
        assert_eq!(check.coverage.is_some(), state == EligibilityState::Answered, "{card_number}");
        assert_eq!(check.rejections.first().and_then(|one| one.code.as_deref()), aaa, "{card_number}");
        assert_eq!(check.failure.as_ref().map(|failure| failure.code.as_str()), failure, "{card_number}");
    }
}
