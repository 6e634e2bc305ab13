use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use sluice_schema::{token::Token, viewer::PurposeOfUse};
use tokio::time::sleep;

use super::*;
use crate::revocations::memory::MemoryRevocations;

const SECOND: Duration = Duration::from_secs(1);

fn options() -> Options {
    Options { max_lifetime: 3600 * SECOND, leeway: Duration::ZERO, max_staleness: 2 * SECOND }
}

async fn node(store: &MemoryRevocations) -> Revocations {
    Revocations::open(Arc::new(store.clone()), options()).await.unwrap()
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

/// Of the tenant `acme`, with a token that was issued so long ago.
fn viewer(user: &str, jti: &str, ago: Duration) -> Arc<Viewer> {
    let issued = Timestamp::now() - jiff::SignedDuration::try_from(ago).unwrap();
    Arc::new(Viewer {
        tenant: tenant(),
        user: user.parse().unwrap(),
        actor: None,
        purpose: PurposeOfUse::Treatment,
        expires: Timestamp::MAX.into(),
        token: Token { id: TokenId::of(jti).ok(), issued: Timestamp::from_second(issued.as_second()).unwrap() },
    })
}

fn token(jti: &str) -> Target {
    Target::Token(TokenId::of(jti).unwrap())
}

fn user(user: &str) -> Target {
    Target::User(user.parse().unwrap())
}

#[derive(Default)]
struct Socket(AtomicUsize);

impl Cut for Socket {
    fn cut(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Live {
    socket: Arc<Socket>,
    session: Session,
}

impl Live {
    fn of(node: &Revocations, viewer: &Arc<Viewer>) -> Self {
        let socket = Arc::new(Socket::default());
        let session = node.admit(viewer, socket.clone()).expect("let in");
        Self { socket, session }
    }

    fn was_cut(&self) -> bool {
        let cuts = self.socket.0.load(Ordering::SeqCst);
        assert_eq!(self.session.is_revoked(), cuts > 0);
        assert!(cuts < 2, "once is enough");
        cuts == 1
    }
}

#[tokio::test]
async fn a_token_is_revoked_alone() {
    let node = node(&MemoryRevocations::default()).await;
    let [lost, other] = ["lost", "other"].map(|jti| viewer("u-1", jti, SECOND));
    let elsewhere = Arc::new(Viewer { tenant: "birch".parse().unwrap(), ..(*lost).clone() });
    let live = [&lost, &lost, &other, &elsewhere].map(|viewer| Live::of(&node, viewer));
    node.revoke(&tenant(), token("lost")).await.unwrap();
    assert_eq!(live.each_ref().map(Live::was_cut), [true, true, false, false]);
    assert_eq!(node.check(&lost), Err(Refused::Revoked));
    assert!(node.admit(&lost, Arc::new(Socket::default())).is_err());
    assert_eq!([node.check(&other), node.check(&elsewhere)], [Ok(()), Ok(())]);
    node.revoke(&tenant(), token("lost")).await.unwrap();
    assert!(live[0].was_cut(), "not twice");
}

#[tokio::test]
async fn a_user_is_revoked_up_to_now() {
    let node = node(&MemoryRevocations::default()).await;
    let [old, second] = [viewer("u-1", "a", 60 * SECOND), viewer("u-1", "b", SECOND)];
    let nameless = Arc::new(Viewer { token: Token::default(), ..(*old).clone() });
    let (other, almost) = (viewer("u-2", "c", 60 * SECOND), viewer("u-10", "d", SECOND));
    let live = [&old, &second, &nameless, &other, &almost].map(|viewer| Live::of(&node, viewer));
    let revocation = node.revoke(&tenant(), user("u-1")).await.unwrap();
    assert_eq!(live.each_ref().map(Live::was_cut), [true, true, true, false, false]);
    let Revoked::User { issued_until, .. } = revocation.revoked else { panic!("{revocation:?}") };
    let issued = |at: Timestamp| {
        let token = Token { id: None, issued: at };
        node.check(&Viewer { token, ..(*old).clone() })
    };
    assert_eq!(issued(issued_until), Err(Refused::Revoked), "in the same second");
    assert_eq!(issued(issued_until + SECOND), Ok(()), "she has signed in again");
    assert_eq!([node.check(&other), node.check(&almost)], [Ok(()), Ok(())]);
}

/// Whose access is misused may be the one or the other: by the revocation of either no more is done.
#[tokio::test]
async fn a_token_is_revoked_with_its_user_and_with_who_acts_for_her() {
    for revoked in ["u-1", "u-agent"] {
        let node = node(&MemoryRevocations::default()).await;
        let by_herself = viewer(revoked, "a", SECOND);
        let acted_for = viewer("u-1", "b", SECOND);
        let acted_for = Arc::new(Viewer { actor: Some("u-agent".parse().unwrap()), ..(*acted_for).clone() });
        let other = Arc::new(Viewer { user: "u-2".parse().unwrap(), actor: None, ..(*acted_for).clone() });
        let live = [&by_herself, &acted_for, &other].map(|viewer| Live::of(&node, viewer));
        node.revoke(&tenant(), user(revoked)).await.unwrap();
        assert_eq!(live.each_ref().map(Live::was_cut), [true, true, false], "{revoked}");
        assert_eq!(node.check(&acted_for), Err(Refused::Revoked), "{revoked}");
        drop(live);
        assert_eq!(node.shared.sessions.count(), 0, "none is left behind");
    }
}

#[tokio::test]
async fn clocks_may_be_apart() {
    let leeway = 30 * SECOND;
    let store: Arc<dyn TokenRevocations> = Arc::new(MemoryRevocations::default());
    let node = Revocations::open(store, Options { leeway, ..options() }).await.unwrap();
    let revocation = node.revoke(&tenant(), user("u-1")).await.unwrap();
    let Revoked::User { issued_until, .. } = revocation.revoked else { panic!("{revocation:?}") };
    let ahead = issued_until.duration_since(Timestamp::now());
    assert!(ahead > jiff::SignedDuration::from_secs(28), "{ahead}");
    let kept = revocation.kept_until.duration_since(issued_until);
    assert!(kept >= jiff::SignedDuration::from_secs(3630), "the longest token is still refused at its end: {kept}");
}

/// It may have taken long between being known and being let in.
#[tokio::test]
async fn one_whose_token_has_ended_meanwhile_is_not_let_in() {
    let store: Arc<dyn TokenRevocations> = Arc::new(MemoryRevocations::default());
    let node = Revocations::open(store, Options { leeway: 30 * SECOND, ..options() }).await.unwrap();
    let ended = |ago: i64| {
        let expires = (Timestamp::now() - jiff::SignedDuration::from_secs(ago)).into();
        Arc::new(Viewer { expires, ..(*viewer("u-1", "a", SECOND)).clone() })
    };
    assert_eq!(node.check(&ended(31)), Err(Refused::Expired));
    assert!(node.admit(&ended(31), Arc::new(Socket::default())).is_err());
    assert_eq!(node.check(&ended(29)), Ok(()), "clocks may be apart");
}

#[tokio::test]
async fn a_session_that_is_over_is_forgotten() {
    let node = node(&MemoryRevocations::default()).await;
    let viewer = viewer("u-1", "a", SECOND);
    let (one, other) = (Live::of(&node, &viewer), Live::of(&node, &viewer));
    let Live { socket, session } = one;
    drop(session);
    node.revoke(&tenant(), user("u-1")).await.unwrap();
    assert_eq!(socket.0.load(Ordering::SeqCst), 0);
    assert!(other.was_cut());
    drop(other);
    assert_eq!(node.shared.sessions.count(), 0);
}

/// Sessions begin on several threads while the token is revoked: each is refused, or cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_while_it_is_revoked_is_ended_too() {
    for round in 0..200 {
        let node = node(&MemoryRevocations::default()).await;
        let viewer = viewer("u-1", "a", SECOND);
        let start = Arc::new(tokio::sync::Barrier::new(4));
        let come = |_| {
            let (node, viewer, start) = (node.clone(), viewer.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                let mut admitted = Vec::new();
                for _ in 0..50 {
                    let socket = Arc::new(Socket::default());
                    match node.admit(&viewer, socket.clone()) {
                        Ok(session) => admitted.push(Live { socket, session }),
                        Err(refused) => assert_eq!(refused, Refused::Revoked),
                    }
                }
                admitted
            })
        };
        let coming: Vec<_> = (0..3).map(come).collect();
        start.wait().await;
        node.revoke(&tenant(), if round % 2 == 0 { token("a") } else { user("u-1") }).await.unwrap();
        for admitted in coming {
            assert!(admitted.await.unwrap().iter().all(Live::was_cut));
        }
    }
}

/// The one that was meant sends nothing after the answer, whichever thread it is on.
#[tokio::test]
async fn a_session_is_cut_before_the_answer() {
    struct Told(Mutex<Vec<&'static str>>);
    impl Cut for Told {
        fn cut(&self) {
            self.0.lock().unwrap().push("cut");
        }
    }
    let node = node(&MemoryRevocations::default()).await;
    let told = Arc::new(Told(Mutex::default()));
    let _session = node.admit(&viewer("u-1", "a", SECOND), told.clone()).expect("let in");
    node.revoke(&tenant(), token("a")).await.unwrap();
    told.0.lock().unwrap().push("answered");
    assert_eq!(*told.0.lock().unwrap(), ["cut", "answered"]);
}

#[tokio::test(start_paused = true)]
async fn another_node_hears_of_it() {
    let store = MemoryRevocations::default();
    let (here, there) = (node(&store).await, node(&store).await);
    let shutdown = CancellationToken::new();
    let following = tokio::spawn(there.clone().follow(shutdown.clone()));
    let viewers = ["a", "b"].map(|jti| viewer("u-1", jti, SECOND));
    let live = viewers.each_ref().map(|viewer| Live::of(&there, viewer));
    sleep(SECOND).await;
    here.revoke(&tenant(), token("a")).await.unwrap();
    assert!(!live[0].was_cut());
    sleep(EVERY + Duration::from_millis(1)).await;
    assert_eq!(live.each_ref().map(Live::was_cut), [true, false], "by looking");
    here.revoke(&tenant(), token("b")).await.unwrap();
    store.stir();
    // It is paused: no time goes by but where all wait.
    sleep(Duration::from_millis(1)).await;
    assert!(live[1].was_cut(), "by hearing");
    assert_eq!(there.check(&viewers[1]), Err(Refused::Revoked));
    shutdown.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn what_was_revoked_before_a_start_counts() {
    let store = MemoryRevocations::default();
    node(&store).await.revoke(&tenant(), token("a")).await.unwrap();
    assert_eq!(node(&store).await.check(&viewer("u-1", "a", SECOND)), Err(Refused::Revoked));
    store.fail(true);
    assert!(Revocations::open(Arc::new(store), options()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_let_in_while_it_is_not_known_who_may() {
    let store = MemoryRevocations::default();
    let node = node(&store).await;
    let shutdown = CancellationToken::new();
    let _following = tokio::spawn(node.clone().follow(shutdown.clone()));
    let viewer = viewer("u-1", "a", SECOND);
    let live = Live::of(&node, &viewer);
    sleep(60 * SECOND).await;
    assert_eq!(node.check(&viewer), Ok(()));
    store.fail(true);
    sleep(SECOND).await;
    assert_eq!(node.check(&viewer), Ok(()), "within the bound");
    sleep(SECOND).await;
    assert_eq!(node.check(&viewer), Err(Refused::Unknown));
    assert!(node.admit(&viewer, Arc::new(Socket::default())).is_err());
    assert!(!live.was_cut(), "who is in stays");
    store.fail(false);
    sleep(EVERY * 2).await;
    assert_eq!(node.check(&viewer), Ok(()));
    shutdown.cancel();
}

/// The write was done, and its answer was lost.
struct Lossy(MemoryRevocations);

#[async_trait]
impl TokenRevocations for Lossy {
    async fn revoke(&self, revocation: &Revocation) -> Result<(), RevocationsUnavailable> {
        self.0.revoke(revocation).await?;
        Err(RevocationsUnavailable("the answer is lost".into()))
    }

    async fn behind(&self, place: u64) -> Result<Vec<(u64, Revocation)>, RevocationsUnavailable> {
        self.0.behind(place).await
    }

    async fn purge(&self, now: Timestamp) -> Result<(), RevocationsUnavailable> {
        self.0.purge(now).await
    }

    fn is_shared(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_written_all_the_same_is_found() {
    let store: Arc<dyn TokenRevocations> = Arc::new(Lossy(MemoryRevocations::default()));
    let node = Revocations::open(store, options()).await.unwrap();
    let shutdown = CancellationToken::new();
    let _following = tokio::spawn(node.clone().follow(shutdown.clone()));
    let live = Live::of(&node, &viewer("u-1", "a", SECOND));
    sleep(3600 * SECOND).await;
    node.revoke(&tenant(), token("a")).await.unwrap_err();
    sleep(Duration::from_millis(1)).await;
    assert!(live.was_cut());
    shutdown.cancel();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_matter_any_more_is_forgotten() {
    let (store, past) = (MemoryRevocations::default(), Timestamp::from_second(1).unwrap());
    let revoked = Revoked::Token(TokenId::of("a").unwrap());
    let revocation = Revocation { tenant: tenant(), revoked, kept_until: past };
    store.revoke(&revocation).await.unwrap();
    let node = node(&store).await;
    let shutdown = CancellationToken::new();
    let _following = tokio::spawn(node.clone().follow(shutdown.clone()));
    sleep(PURGE_EVERY + SECOND).await;
    assert!(node.shared.list.read().unwrap().is_empty());
    assert_eq!(store.behind(0).await.unwrap(), []);
    shutdown.cancel();
}
