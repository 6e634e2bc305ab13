//! The exported graph.

use std::{fs, path::Path, process::Command};

/// To rewrite it: `cargo run -- schema > schema.graphql`.
#[test]
fn schema_graphql_is_what_the_binary_serves() {
    let printed = Command::new(env!("CARGO_BIN_EXE_sluice")).arg("schema").output().unwrap();
    assert!(printed.status.success());
    let kept = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql")).unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let differs = kept.lines().zip(printed.lines()).position(|(kept, printed)| kept != printed);
    assert_eq!(differs, None, "the first line (from 0) that differs; see the comment above");
    assert_eq!(kept.len(), printed.len());
}
