use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Value, json};
use sluice_schema::error::Code;
use tokio::{sync::Semaphore, task::JoinSet};

use super::*;
use crate::auth::tests::{Foreign, claims, named, p256, rules, set};

const EVERY: Duration = Duration::from_secs(300);

/// A set that a test changes.
struct Published {
    set: Mutex<Result<String, String>>,
    /// How many reads may pass.
    gate: Semaphore,
    reads: watch::Sender<usize>,
}

#[async_trait]
impl KeySource for Published {
    async fn read(&self) -> Result<String, String> {
        self.reads.send_modify(|reads| *reads += 1);
        let _pass = self.gate.acquire().await.expect("it is never closed");
        self.set.lock().unwrap().clone()
    }
}

impl Published {
    fn change(&self, set: Result<String, String>) {
        *self.set.lock().unwrap() = set;
    }

    fn reads(&self) -> usize {
        *self.reads.borrow()
    }
}

struct Scene {
    published: Arc<Published>,
    tokens: Arc<Authenticator>,
    /// Two keys, by the names `a` and `b`.
    keys: [Foreign; 2],
    end: CancellationToken,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Scene {
    /// A running authenticator that knows the key `a`.
    async fn new() -> Self {
        let keys = [p256(), p256()];
        let set = set(&[&named(&keys[0], "a")]);
        let published =
            Published { set: Mutex::new(Ok(set)), gate: Semaphore::new(1_000), reads: watch::Sender::new(0) };
        let published = Arc::new(published);
        let tokens = Authenticator::rotating(published.clone(), EVERY, rules()).await.expect("a key");
        let (tokens, end) = (Arc::new(tokens), CancellationToken::new());
        tokio::spawn(tokens.clone().run(end.clone()));
        Self { published, tokens, keys, end }
    }

    fn publish(&self, names: &[&str]) {
        let keys: Vec<Value> = names.iter().map(|name| named(self.key(name), name)).collect();
        self.published.change(Ok(set(&keys.iter().collect::<Vec<_>>())));
    }

    fn key(&self, name: &str) -> &Foreign {
        &self.keys[usize::from(name == "b")]
    }

    /// Of the key `b`, unless the name is `a`.
    fn token(&self, name: Option<&str>) -> String {
        let now = Timestamp::now().as_second();
        let mut claims = claims();
        (claims["nbf"], claims["exp"]) = (json!(now - 10), json!(now + 600));
        self.key(name.unwrap_or("b")).token_of(name, &claims)
    }

    async fn takes(&self, name: &str) -> bool {
        let verdict = self.tokens.authenticate(&self.token(Some(name))).await;
        verdict.map_err(|error| assert_eq!(error.code, Code::Unauthenticated)).is_ok()
    }

    /// Waits until the keys were read so often behind the first time.
    async fn read(&self, times: u64) {
        let rotation = self.tokens.rotation.as_ref().expect("it reads");
        rotation.reads.subscribe().wait_for(|reads| reads.done >= times).await.expect("it runs");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_come_and_go_with_the_set() {
    let (scene, begun) = (Scene::new().await, Instant::now());
    assert!(scene.takes("a").await);
    scene.publish(&["b"]);
    assert!(scene.takes("a").await, "until the set is read again");
    scene.read(1).await;
    assert_eq!(begun.elapsed(), EVERY);
    assert!(scene.takes("b").await && !scene.takes("a").await);
    scene.publish(&["a"]);
    scene.read(3).await;
    assert!(!scene.tokens.verifier_takes(&scene.token(Some("b"))), "it is gone for good");
}

impl Authenticator {
    /// By the keys that it has, without reading them.
    fn verifier_takes(&self, token: &str) -> bool {
        self.verifier.read(token, Timestamp::now()).is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_new_is_read_at_once_and_by_one_for_all() {
    let (scene, begun) = (Scene::new().await, Instant::now());
    scene.publish(&["a", "b"]);
    scene.published.gate.forget_permits(1_000);
    let mut waiting = JoinSet::new();
    for _ in 0..20 {
        let (tokens, token) = (scene.tokens.clone(), scene.token(Some("b")));
        waiting.spawn(async move { tokens.authenticate(&token).await.is_ok() });
    }
    scene.published.reads.subscribe().wait_for(|reads| *reads == 2).await.expect("it reads");
    assert!(scene.takes("a").await, "who has a key does not wait");
    scene.published.gate.add_permits(1);
    assert!(waiting.join_all().await.into_iter().all(|taken| taken));
    assert_eq!((scene.published.reads(), begun.elapsed()), (2, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn made_up_names_have_the_set_read_so_often_and_no_more() {
    let scene = Scene::new().await;
    for name in 0..100 {
        assert!(!scene.takes(&format!("made-up-{name}")).await);
    }
    assert_eq!(scene.published.reads(), 1 + 5);
    scene.publish(&["b"]);
    assert!(!scene.takes("b").await, "not read again yet");
    tokio::time::advance(THEN_ONCE_IN).await;
    assert!(scene.takes("b").await);
    assert!(!scene.takes("made-up").await);
    assert_eq!(scene.published.reads(), 1 + 5 + 1);
}

#[tokio::test(start_paused = true)]
async fn only_a_name_has_the_set_read() {
    let scene = Scene::new().await;
    let nameless = scene.tokens.authenticate(&scene.token(None)).await;
    assert_eq!(nameless.expect_err("another key").code, Code::Unauthenticated);
    scene.tokens.authenticate("nonsense").await.expect_err("no token");
    assert_eq!(scene.published.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_set_changes_nothing() {
    let scene = Scene::new().await;
    for (read, broken) in
        [Err("away".to_owned()), Ok("<html>".to_owned()), Ok(r#"{"keys":[]}"#.to_owned())].into_iter().enumerate()
    {
        scene.published.change(broken);
        assert!(!scene.takes("b").await);
        scene.read(read as u64 + 1).await;
        assert!(scene.takes("a").await);
    }
    scene.publish(&["b"]);
    assert!(scene.takes("b").await);
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_without_keys() {
    let published =
        Published { set: Mutex::new(Ok("secret".to_owned())), gate: Semaphore::new(9), reads: watch::Sender::new(0) };
    let why = Authenticator::rotating(Arc::new(published), EVERY, rules()).await.err().expect("no keys");
    assert!(why.contains("not JSON") && !why.contains("secret"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_key_never_comes_is_refused_in_time() {
    let (scene, begun) = (Scene::new().await, Instant::now());
    scene.published.gate.forget_permits(1_000);
    assert!(!scene.takes("b").await);
    assert_eq!(begun.elapsed(), PATIENCE);
}
