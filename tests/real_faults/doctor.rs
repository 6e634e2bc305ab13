//! `sluice doctor` on the real parts: what it says of sound ones, and of each that is not.

use sqlx::Executor;

use crate::{
    clients::PERSON,
    harness::{Server, run},
    installation::{Home, required},
    parts::Topic,
    scene::{change, insist, listen, named},
};

/// What it said, and how it ended.
struct Told {
    code: Option<i32>,
    lines: Vec<String>,
}

async fn doctor(home: &Home, environment: &[(&str, &str)]) -> Told {
    let output = run(&["doctor"], home, environment).await;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    for secret in secrets(home) {
        assert!(!text.contains(&secret), "a password or key is in it: {text}");
    }
    Told { code: output.status.code(), lines: text.lines().map(str::to_owned).collect() }
}

fn secrets(home: &Home) -> Vec<String> {
    let url = home.database().expect("PostgreSQL").url();
    let password = url.split(['@', ':']).nth(2).expect("a URL with a password").to_owned();
    let master_key = std::fs::read_to_string(home.path().join("master.key")).unwrap().trim().to_owned();
    vec![url, password, master_key, required("SLUICE_TEST_SPICEDB_KEY")]
}

impl Told {
    /// All is well enough to start.
    fn is_sound(&self) {
        assert_eq!((self.code, self.lines.iter().any(|line| line.starts_with("BAD"))), (Some(0), false), "{self}");
    }

    /// One line says what is wrong, and has all of `what`.
    fn is_ill(&self, part: &str, what: &[&str]) {
        let bad: Vec<&String> = self.lines.iter().filter(|line| line.starts_with("BAD")).collect();
        let [line] = bad.as_slice() else { panic!("one line is to be BAD: {self}") };
        assert!(line.contains(part) && what.iter().all(|text| line.contains(text)), "{line}");
        assert_eq!(self.code, Some(1), "{self}");
    }

    fn line(&self, what: &str) -> &str {
        self.lines.iter().find(|line| line.contains(what)).unwrap_or_else(|| panic!("nothing about {what}: {self}"))
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {:?}\n{}", self.code, self.lines.join("\n"))
    }
}

/// An installation whose topic holds events, and in which nothing runs.
async fn relayed() -> Home {
    let server = Server::start(named("sluice")).await;
    let mut nurse = listen(&server, "nurse").await;
    insist(server.viewer(PERSON), "k").await;
    change(&mut nurse).await;
    server.terminate().await
}

/// Major, minor, patch: the first word that is a version.
fn version(line: &str) -> Vec<u32> {
    let numbers = |word: &str| word.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>();
    let word = |word: &str| {
        numbers(word.trim_start_matches('v').trim_end_matches([':', ','])).ok().filter(|numbers| numbers.len() > 1)
    };
    line.split_whitespace().find_map(word).unwrap_or_else(|| panic!("no version: {line}"))
}

#[tokio::test]
async fn sound_parts_are_named_with_their_versions() {
    let home = Home::new().await;
    let told = doctor(&home, &[]).await;
    told.is_sound();
    told.line("will be made at the first start, with 4 partitions");
    let home = Server::start_in(home, named("sluice")).await.terminate().await;
    let told = doctor(&home, &[]).await;
    told.is_sound();
    assert!(version(told.line("schema ")) >= vec![15], "{told}");
    told.line(&format!("the topic {} has 4 partitions, as the store", home.tenant()));
    let spicedb = told.line("SpiceDB");
    let is_old = version(spicedb) < vec![1, 57, 1];
    assert_eq!((spicedb.starts_with("note"), spicedb.contains("upgrade")), (is_old, is_old), "{spicedb}");
    assert_eq!(spicedb.contains("1.57.1"), is_old, "it says what to upgrade to: {spicedb}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let home = relayed().await;
    let mut db = home.database().expect("PostgreSQL").connect().await;
    db.execute("REVOKE INSERT ON sluice.events FROM sluice_gateway").await.unwrap();
    doctor(&home, &[]).await.is_ill("PostgreSQL", &["INSERT on events", "sluice migrate --grant-to"]);
}

/// Before the first start it is no fault; here it would end what clients hold cursors of.
#[tokio::test]
async fn a_topic_that_is_gone_is_told_of() {
    let home = relayed().await;
    Topic::of(&home).remove().await;
    doctor(&home, &[]).await.is_ill("Kafka", &[home.tenant(), "is not there", "correct `kafka.topic`"]);
}

#[tokio::test]
async fn a_spicedb_that_can_not_be_reached_is_told_of() {
    let home = relayed().await;
    // Bound and not listened at: nobody else can answer there.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    let told = doctor(&home, &[("SLUICE__SPICEDB__ENDPOINT", &format!("http://{address}"))]).await;
    told.is_ill("SpiceDB", &[&address, "can't be reached", "start it, or correct the endpoint"]);
}

#[tokio::test]
async fn a_key_that_spicedb_refuses_is_told_of() {
    let home = relayed().await;
    let told = doctor(&home, &[("SLUICE__SPICEDB__PRESHARED_KEY", "another-key")]).await;
    told.is_ill("SpiceDB", &["refuses the preshared key", "--grpc-preshared-key"]);
    assert!(!told.to_string().contains("another-key"), "{told}");
}

#[tokio::test]
async fn a_database_that_was_not_migrated_is_told_of() {
    let home = Home::new().await;
    let mut db = home.database().expect("PostgreSQL").connect().await;
    db.execute("DROP SCHEMA sluice CASCADE").await.unwrap();
    doctor(&home, &[]).await.is_ill("PostgreSQL", &["has no schema of Sluice yet", "run `sluice migrate`"]);
}
