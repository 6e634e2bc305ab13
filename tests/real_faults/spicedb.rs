//! SpiceDB away: no answer is no access, and nobody has half a check.

use serde_json::{Value, json};
use sluice_subscriptions::relationships::SCHEMA;

use crate::{
    clients::PERSON,
    harness::{Frame, RICH, Server, Ws, question, soon},
    installation::{Proxy, Way, another_client, required},
    parts::{Paused, Postmaster, resident, revoke_guardian},
    scene::{
        Scene, acknowledged, are_answered, are_refused, change, changes, has_held, insist, insist_all, insist_by, keys,
        listen, named, names_as_away, options, tells_once,
    },
};

const PID: &str = "SLUICE_TEST_SPICEDB_PID";

const BEFORE: usize = 5;
const MEANWHILE: usize = 200;
const BEHIND: usize = 5;

/// MiB. One that kept a request's worth of anything would take more, many times over.
const GROWTH: u64 = 64;

#[tokio::test]
async fn silent_nothing_is_done_or_shown_until_it_answers_again() {
    holds_while(async || Paused::begin(PID)).await;
}

/// It answers then, but knows nothing.
#[tokio::test]
async fn without_its_database_nothing_is_done_or_shown_until_it_is_back() {
    holds_while(async || {
        let mut postgres = Postmaster::of_relationships();
        postgres.stop().await;
        postgres
    })
    .await;
}

/// `leave` takes something away that no decision can do without; it is back when what it gives is dropped.
async fn holds_while<T>(leave: impl AsyncFnOnce() -> T) {
    // Each decision asks, so that it is away at once; for how long kept ones are used is the adapter's tests' to show.
    let slow_payer = options()
        .env("SLUICE__SPICEDB__MAX_STALENESS_MS", "0")
        .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__LATENCY", "fixed")
        .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__FIXED_MS", "3000");
    let scene = Scene::set(slow_payer).await;
    scene
        .play(BEFORE + MEANWHILE + BEHIND, async |server, _| {
            let viewer = server.viewer(PERSON);
            let mut nurse = listen(server, "nurse").await;
            // Their answers come while nobody can be asked whether they may be shown.
            let mut checks = insist_all(viewer, &keys("before", BEFORE)).await;
            for _ in 0..BEFORE {
                change(&mut nurse).await;
            }

            let away = leave().await;
            let meanwhile = keys("meanwhile", MEANWHILE);
            are_refused(viewer, &meanwhile[..20], 20).await;
            let before = resident(server.pid());
            are_refused(viewer, &meanwhile, 50).await;
            let growth = resident(server.pid()).saturating_sub(before);
            assert!(growth < GROWTH, "it grew by {growth} MiB");
            soon("an answer that waits", has_held(server)).await;
            assert_eq!(changes(&mut nurse).await, BEFORE, "nothing was shown");
            names_as_away(server, &["relationships"]).await;
            drop(away);

            checks.extend(insist_by(20, viewer, &meanwhile).await);
            checks.extend(insist_all(viewer, &keys("behind", BEHIND)).await);
            names_as_away(server, &[]).await;
            tells_once(server, "relationships", 220, &checks[0]).await;
            checks
        })
        .await;
}

/// Nothing happens to the member meanwhile.
#[tokio::test]
async fn a_revocation_written_straight_to_it_ends_a_quiet_stream_and_no_other() {
    let server = Server::start(named("quiet")).await;
    let (mut guardian, mut nurse) = (listen(&server, "guardian").await, listen(&server, "nurse").await);
    revoke_guardian(server.home()).await;
    is_revoked(&mut guardian).await;
    let check = insist(server.viewer(PERSON), "afterwards").await;
    hears_of(&mut nurse, &check).await;
    assert!(!guardian.heard().await.contains(&check));
}

/// Whom it shuts out is told without an event; whom it does not goes on, and who was shut out may come back.
#[tokio::test]
async fn a_schema_that_is_rewritten_live_is_heeded_by_running_streams() {
    let server = Server::start(named("rewritten")).await;
    let (mut guardian, mut nurse) = (listen(&server, "guardian").await, listen(&server, "nurse").await);
    let before = insist(server.viewer(PERSON), "before").await;
    hears_of(&mut guardian, &before).await;
    hears_of(&mut nurse, &before).await;

    let stricter = SCHEMA.replacen("treats = lead + member + covering", "treats = lead + covering", 1);
    assert_ne!(stricter, SCHEMA);
    another_client(&stricter).await.ensure_schema(true).await.unwrap();
    is_revoked(&mut nurse).await;
    let meanwhile = insist(server.viewer(PERSON), "meanwhile").await;
    hears_of(&mut guardian, &meanwhile).await;
    assert!(!nurse.heard().await.contains(&meanwhile));

    another_client(SCHEMA).await.ensure_schema(true).await.unwrap();
    let mut nurse = listen(&server, "nurse").await;
    let behind = insist(server.viewer(PERSON), "behind").await;
    hears_of(&mut nurse, &behind).await;
    hears_of(&mut guardian, &behind).await;
}

async fn is_revoked(ws: &mut Ws) {
    let ended = soon("the end", ws.frame_for("w")).await;
    let is_revoked = |errors: &Value| errors[0]["extensions"]["code"] == "PERMISSION_REVOKED";
    assert!(matches!(&ended, Frame::Error(errors) if is_revoked(errors)), "{ended:?}");
}

/// One gateway reaches SpiceDB and goes on; another does not, and has events to show.
#[tokio::test]
async fn out_of_reach_events_wait_and_a_revocation_meanwhile_is_heeded() {
    let spicedb = required("SLUICE_TEST_SPICEDB");
    let proxy = Proxy::to(spicedb.trim_start_matches("http://")).await;
    let sound = Server::start(named("sound")).await;
    let cut_off = named("cut-off").env("SLUICE__SPICEDB__ENDPOINT", &format!("http://{}", proxy.address()));
    let cut_off = Server::start_in(sound.home().clone(), cut_off).await;
    let mut listening = Vec::new();
    for person in ["guardian", "nurse", "stranger"] {
        listening.push(listen(&cut_off, person).await);
    }
    let first = insist(sound.viewer(PERSON), "first").await;
    for ws in &mut listening[..2] {
        hears_of(ws, &first).await;
    }

    proxy.set(Way::Cut);
    let refused = cut_off.viewer(PERSON).request(question(RICH), "meanwhile").await;
    assert_eq!(acknowledged(&refused), None);
    let meanwhile = insist(sound.viewer(PERSON), "meanwhile").await;
    are_answered(&sound, std::slice::from_ref(&meanwhile)).await;
    names_as_away(&cut_off, &["relationships"]).await;
    for ws in &mut listening {
        assert!(!ws.heard().await.contains(&meanwhile), "it is shown while nobody says who may see it");
    }
    revoke_guardian(sound.home()).await;
    proxy.set(Way::Open);

    hears_of(&mut listening[1], &meanwhile).await;
    let last = insist(cut_off.viewer(PERSON), "last").await;
    hears_of(&mut listening[1], &last).await;
    names_as_away(&cut_off, &[]).await;
    let (guardian, stranger) = (listening[0].heard().await, listening[2].heard().await);
    assert!(!guardian.contains(&meanwhile) && !guardian.contains(&last), "her access ended before: {guardian}");
    assert!(guardian.contains("PERMISSION_REVOKED"), "she is told: {guardian}");
    assert!(!stranger.contains("memberEligibility"), "{stranger}");
    assert_eq!(insist(cut_off.viewer(PERSON), "meanwhile").await, meanwhile, "the refused request left nothing else");
}

/// Both states of one check, and nothing else.
async fn hears_of(ws: &mut Ws, check: &str) {
    for state in ["ACCEPTED", "ANSWERED"] {
        let seen = change(ws).await;
        assert_eq!((&seen["id"], &seen["state"]), (&json!(check), &json!(state)), "{seen}");
    }
}
