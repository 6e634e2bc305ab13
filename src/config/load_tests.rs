use std::{collections::BTreeSet, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::config::{LogFormat, Period};

struct Given {
    sources: Sources,
    dir: TempDir,
}

fn given() -> Given {
    Given { sources: Sources::default(), dir: TempDir::new().unwrap() }
}

impl Given {
    fn file(mut self, text: &str) -> Self {
        let path = self.dir.path().join("sluice.toml");
        std::fs::write(&path, text).unwrap();
        self.sources.file = Some(path);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, key: &'static str, value: &str) -> Self {
        self.sources.flags.push((key, value.into()));
        self
    }

    fn loads(self) -> Config {
        Config::load(&self.sources).unwrap()
    }

    fn refused(self) -> String {
        let text = Config::load(&self.sources).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 1, "one sentence: {text}");
        text.replace(&self.dir.path().display().to_string(), "DIR")
    }
}

#[test]
fn nothing_set_is_the_defaults() {
    assert_eq!(given().loads(), Config::default());
}

#[test]
fn flags_win_over_environment_over_file() {
    let file = "data_dir = \"file\"\nlog_retention = \"1d\"\n[server]\nlisten = \"127.0.0.1:1\"\n";
    let config = given()
        .file(file)
        .env("SLUICE__DATA_DIR", "environment")
        .env("SLUICE__SERVER__LISTEN", "127.0.0.1:2")
        .flag("server.listen", "127.0.0.1:3")
        .loads();
    assert_eq!(config.log_retention, Period::hours(24));
    assert_eq!(config.data_dir, PathBuf::from("environment"));
    assert_eq!(config.server.listen.port(), 3);
}

#[test]
fn the_environment_is_read_by_type() {
    let config = given()
        .env("SLUICE__LIMITS__MAX_DEPTH", "7")
        .env("SLUICE__DEMO__ENABLED", "false")
        .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__NEVER_SHARE", "0.5")
        .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__LATENCY", "none")
        .env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__SEED", "42")
        .env("SLUICE__TELEMETRY__LOG_FORMAT", "json")
        .env("SLUICE_LISTEN", "a flag's own variable, not a key")
        .env("HOME", "/")
        .loads();
    assert_eq!(config.limits.max_depth, 7);
    assert!(!config.demo.enabled);
    assert_eq!(config.eligibility.clearinghouse.never_share, 0.5);
    assert_eq!(config.eligibility.clearinghouse.latency, Latency::None);
    assert_eq!(config.eligibility.clearinghouse.seed, Some(42));
    assert_eq!(config.telemetry.log_format, LogFormat::Json);
}

#[test]
fn a_list_is_read_from_the_environment_and_from_the_file() {
    let origins = |config: Config| config.transports.allowed_origins;
    let file = "[transports]\nallowed_origins = [\"https://a.example\"]\n";
    assert_eq!(origins(given().file(file).loads()), ["https://a.example"]);

    let name = "SLUICE__TRANSPORTS__ALLOWED_ORIGINS";
    let both = given().file(file).env(name, "https://b.example, https://c.example");
    assert_eq!(origins(both.loads()), ["https://b.example", "https://c.example"]);

    let text = given().file(file).env(name, "https://b.example/path").refused();
    let begins = "bad value for `transports.allowed_origins` in the environment (variable SLUICE__TRANSPORTS__";
    assert!(text.starts_with(begins), "{text}");
}

#[test]
fn unknown_keys_are_refused_with_their_path() {
    let deep = given().file("[eligibility.clearinghouse]\nmedain_ms = 1\n").refused();
    assert!(deep.starts_with("unknown key `eligibility.clearinghouse.medain_ms` in DIR/sluice.toml: "), "{deep}");
    assert!(deep.contains("`median_ms`"), "names what there is: {deep}");

    let top = given().file("data_dri = \"x\"\n").refused();
    assert!(top.starts_with("unknown key `data_dri` in DIR/sluice.toml: "), "{top}");

    let env = given().env("SLUICE__LIMITS__MAX_DEPHT", "1").refused();
    let begins = "unknown key `limits.max_depht` in the environment (variable SLUICE__LIMITS__MAX_DEPHT): ";
    assert!(env.starts_with(begins), "{env}");

    let section = given().file("[limits]\n").env("SLUICE__LIMIT__MAX_DEPTH", "1").refused();
    assert!(section.starts_with("unknown key `limit` in the environment (variable SLUICE__LIMIT): "), "{section}");
}

#[test]
fn bad_values_name_key_and_place() {
    let cases = [
        (given().flag("server.listen", "nowhere"), "bad value for `server.listen` from --listen (or SLUICE_LISTEN): "),
        (given().file("[limits]\nmax_depth = \"deep\"\n"), "bad value for `limits.max_depth` in DIR/sluice.toml: "),
        (
            given().file("[limits]\nmax_depth = 0\n"),
            "bad value for `limits.max_depth` in DIR/sluice.toml: it must be at",
        ),
        (given().file("[limits]\nmax_depth = -1\n"), "bad value for `limits.max_depth` in DIR/sluice.toml: "),
        (
            given().file("log_retention = \"soon\"\n"),
            "bad value for `log_retention` in DIR/sluice.toml: expected a length",
        ),
        (given().file("[auth]\nmode = \"jwks_file\"\n"), "bad value for `auth.mode` in DIR/sluice.toml: the mode"),
        (given().file("[auth]\nmode = \"jwks_url\"\n"), "bad value for `auth.mode` in DIR/sluice.toml: the mode"),
        (
            given().file("[auth]\njwks_url = \"http://id.example/keys\"\n"),
            "bad value for `auth.jwks_url` in DIR/sluice.toml: it must begin with https://",
        ),
        (
            given().file("[auth]\nleeway_seconds = 301\n"),
            "bad value for `auth.leeway_seconds` in DIR/sluice.toml: it must be at most 300",
        ),
        (
            given().file("[auth]\njwks_refresh_seconds = 0\n"),
            "bad value for `auth.jwks_refresh_seconds` in DIR/sluice.toml: it must be 1 to",
        ),
        (
            given().file("[auth]\nmax_token_lifetime = \"0s\"\n"),
            "bad value for `auth.max_token_lifetime` in DIR/sluice.toml: expected a length",
        ),
        (given().file("[auth]\nmode = \"none\"\n"), "bad value for `auth.mode` in DIR/sluice.toml: "),
        (
            given().file("[transports]\nping_interval_ms = 0\n"),
            "bad value for `transports.ping_interval_ms` in DIR/sluice.toml: ",
        ),
        (given().file("limits = 3\n"), "bad value for `limits` in DIR/sluice.toml: "),
        (
            given().env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__NEVER_SHARE", "2"),
            "bad value for `eligibility.clearinghouse.never_share` in the environment (variable SLUICE__",
        ),
        (
            given().file("[eligibility.clearinghouse]\np95_ms = 1\n"),
            "bad value for `eligibility.clearinghouse.p95_ms` in DIR/sluice.toml: it must be at least `median_ms`",
        ),
    ];
    for (given, begins) in cases {
        let text = given.refused();
        assert!(text.starts_with(begins), "{text}");
    }
}

#[test]
fn real_parts_need_what_they_are_reached_by() {
    let store = "[parts]\nstore = \"postgres\"\nrelationships = \"spicedb\"\nlog = \"kafka\"\n";
    let postgres = "[postgres]\nurl = \"postgres://db/sluice\"\nmaster_key_file = \"k\"\n";
    let kafka = "[kafka]\nbrokers = \"k:9092\"\n";
    let spicedb = "[spicedb]\nendpoint = \"http://s:1\"\npreshared_key = \"x\"\n";
    let all = [store, postgres, kafka, spicedb];
    given().file(&all.concat()).env("SLUICE__SERVER__ROLES", "gateway, relay").loads();
    for (absent, key) in [(postgres, "postgres.url"), (kafka, "kafka.brokers"), (spicedb, "spicedb.endpoint")] {
        let text = given().file(&all.concat().replace(absent, "")).refused();
        assert!(text.starts_with(&format!("bad value for `{key}` ")), "{text}");
    }
    let text = given().file("[parts]\nlog = \"kafka\"\n").refused();
    assert!(text.contains("`parts.log`") && text.contains("an embedded store is its own log"), "{text}");
    let text = given().file("[parts]\nstore = \"postgres\"\n").refused();
    assert!(text.starts_with("bad value for `postgres.url`"), "{text}");
    let text = given().env("SLUICE__SERVER__ROLES", "gateway").refused();
    assert!(text.starts_with("bad value for `server.roles` in the environment"), "{text}");
    let text = given().env("SLUICE__DEMO__TENANT", "a/b").refused();
    assert!(text.starts_with("bad value for `demo.tenant`"), "{text}");
}

#[test]
fn a_secret_never_shows_itself() {
    let config = given()
        .file("[postgres]\nurl = \"postgres://u:hunter2@db/s\"\n[spicedb]\npreshared_key = \"hunter2\"\n")
        .loads();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let absent = Sources { file: Some("no/such/file.toml".into()), ..Sources::default() };
    let text = Config::load(&absent).unwrap_err().to_string();
    assert!(text.starts_with("the configuration file no/such/file.toml cannot be read: No such file"), "{text}");

    let torn = given().file("[server\nlisten = 1\n").refused();
    assert!(torn.starts_with("the configuration file DIR/sluice.toml cannot be read: "), "{torn}");
    assert!(torn.contains("line 1"), "{torn}");
}

const EXAMPLE: &str = include_str!("../../sluice.example.toml");

#[test]
fn the_example_loads_and_holds_the_defaults() {
    assert_eq!(given().file(EXAMPLE).loads(), Config::default());
}

const PRODUCTION: &str = include_str!("../../sluice.production.example.toml");

#[test]
fn the_production_example_loads_with_the_secrets_that_it_leaves_out() {
    use crate::config::{LogKind, Parts, RelationshipsKind, StoreKind};
    let secrets = [
        ("SLUICE__POSTGRES__URL", "postgres://db/sluice", "postgres.url"),
        ("SLUICE__SPICEDB__PRESHARED_KEY", "x", "spicedb.preshared_key"),
    ];
    let without = |absent: &str| {
        let kept = secrets.iter().filter(|(_, _, key)| *key != absent);
        kept.fold(given().file(PRODUCTION), |given, (name, value, _)| given.env(name, value))
    };
    let config = without("").loads();
    let real = Parts { store: StoreKind::Postgres, log: LogKind::Kafka, relationships: RelationshipsKind::SpiceDb };
    assert_eq!(config.parts, real);
    assert_eq!(config.auth.mode, AuthMode::JwksUrl);
    assert!(!config.demo.enabled);
    for (_, _, key) in secrets {
        let text = without(key).refused();
        assert!(text.starts_with(&format!("bad value for `{key}` ")), "{text}");
    }
}

/// The example of the page that explains it.
fn foreign_topics() -> String {
    let page = include_str!("../../docs/foreign-topics.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    example.expect("the page has an example").to_owned()
}

#[test]
fn the_example_of_a_foreign_topic_loads() {
    let brokers = "[kafka]\nbrokers = \"k:9092\"\n";
    let config = given().file(&format!("{}{brokers}", foreign_topics())).loads();
    assert_eq!(config.foreign_topics.len(), 1);
    let text = given().file(&foreign_topics()).refused();
    assert!(text.starts_with("bad value for `kafka.brokers`"), "{text}");
    let own = foreign_topics().replace("topic = \"enrollment.coverage\"", "topic = \"sluice.events\"");
    let text = given().file(&format!("{own}{brokers}")).refused();
    assert!(text.starts_with("bad value for `foreign_topics`"), "{text}");
    let misspelt = foreign_topics().replace("v1.CoverageChanged", "v1.CoverageChangd");
    let text = given().file(&format!("{misspelt}{brokers}")).refused();
    assert!(text.starts_with("bad value for `foreign_topics`") && text.contains("CoverageChangd"), "{text}");
}

#[test]
fn the_example_and_the_docs_name_every_key_and_no_other() {
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let example = given().file(&uncommented);
    assert_eq!(leaves(&merge(&example.sources).unwrap().cache, ""), keys_under(""));

    let docs = include_str!("../../docs/configuration.md");
    let documented = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned);
    assert_eq!(documented.collect::<BTreeSet<_>>(), keys_under(""));
}

/// `name = …`, as against prose.
fn is_setting(line: &str) -> bool {
    line.split_once(" = ")
        .is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()))
}

/// The paths of all values in a file.
fn leaves(value: &Value, path: &str) -> BTreeSet<String> {
    match &value.kind {
        ValueKind::Table(table) => table.iter().flat_map(|(name, value)| leaves(value, &join(path, name))).collect(),
        _ => BTreeSet::from([path.to_owned()]),
    }
}

/// All keys that there are: a section names its keys where it refuses one.
fn keys_under(section: &str) -> BTreeSet<String> {
    let unknown = join(section, "no_such_key");
    match Config::load(&given().env(&variable(&unknown), "").sources) {
        Err(ConfigError::UnknownKey { key, hint, .. }) if key == unknown => {
            hint.split('`').skip(1).step_by(2).flat_map(|name| keys_under(&join(section, name))).collect()
        }
        _ => BTreeSet::from([section.to_owned()]),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}

#[test]
fn the_most_that_may_be_is_taken() {
    assert_eq!(given().file("[auth]\nleeway_seconds = 300\n").loads().auth.leeway_seconds, 300);
}
