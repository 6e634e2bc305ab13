//! The server's schema compared and written.

use sluice_adapters::spicedb::{OpenError, SchemaState, SpiceDb};
use sluice_subscriptions::relationships::SCHEMA;

use super::own_server::OwnServer;

const SMALL: &str = "definition user {}\n\ndefinition door {\n\trelation keeper: user\n\tpermission open = keeper\n}";

async fn connect(server: &OwnServer, schema: &str) -> SpiceDb {
    SpiceDb::connect(&server.options(), schema).await.unwrap()
}

async fn ensure(server: &OwnServer, schema: &str, write: bool) -> Result<SchemaState, OpenError> {
    connect(server, schema).await.ensure_schema(write).await
}

#[tokio::test]
async fn it_is_written_where_absent_and_then_the_same() {
    let server = OwnServer::start().await;
    assert_eq!(ensure(&server, SCHEMA, false).await.unwrap(), SchemaState::Created);
    assert_eq!(ensure(&server, SCHEMA, false).await.unwrap(), SchemaState::Same);
    let uncommented: String =
        SCHEMA.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect();
    assert_eq!(ensure(&server, &uncommented, false).await.unwrap(), SchemaState::Same, "comments aside");
}

#[tokio::test]
async fn what_differs_is_named_and_written_only_when_told() {
    let server = OwnServer::start().await;
    ensure(&server, SMALL, false).await.unwrap();
    let changed = SMALL
        .replace("relation keeper: user", "relation keeper: user\n\trelation guest: user")
        .replace("open = keeper", "open = keeper + guest");
    let refused = ensure(&server, &changed, false).await.err().unwrap();
    let OpenError::Differs { mut differences, .. } = refused else { panic!("{refused}") };
    differences.sort();
    assert_eq!(differences, ["door#guest", "door#open"]);
    let written = ensure(&server, &changed, true).await.unwrap();
    assert!(matches!(written, SchemaState::Changed(ref names) if names.len() == 2), "{written:?}");
    assert_eq!(ensure(&server, &changed, false).await.unwrap(), SchemaState::Same);
    let older = ensure(&server, SMALL, true).await.err().unwrap();
    assert!(matches!(older, OpenError::Removes { ref removals, .. } if *removals == ["door#guest"]), "{older}");
    assert_eq!(ensure(&server, &changed, false).await.unwrap(), SchemaState::Same, "an older version changed nothing");
}

#[tokio::test]
async fn definitions_of_others_stay() {
    let server = OwnServer::start().await;
    ensure(&server, SMALL, true).await.unwrap();
    assert_eq!(ensure(&server, SCHEMA, false).await.err().map(|error| error.to_string()), None);
    let changed = SMALL.replace("open = keeper", "open = nil");
    assert!(matches!(ensure(&server, &changed, true).await.unwrap(), SchemaState::Changed(_)));
    assert_eq!(ensure(&server, SCHEMA, false).await.unwrap(), SchemaState::Same);
    assert_eq!(ensure(&server, &changed, false).await.unwrap(), SchemaState::Same);
}

#[tokio::test]
async fn the_version_is_told() {
    let server = OwnServer::start().await;
    let version = connect(&server, SMALL).await.version().await.unwrap();
    println!("{version}");
    assert_ne!(version.to_string(), "not told");
}
