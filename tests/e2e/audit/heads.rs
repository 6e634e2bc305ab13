//! Signed heads: by them it shows what is missing at the end.

use std::fs;

use super::*;
use crate::harness::{Options, Server};

fn heads(home: &Home) -> String {
    home.data_dir().join("audit-heads.jsonl").display().to_string()
}

#[tokio::test]
async fn without_heads_it_cant_be_told_and_chains_alone_are_looked_at_where_that_is_asked_for() {
    let home = after_a_run().await;
    fs::remove_file(heads(&home)).unwrap();
    let (code, words) = command(&home, &["audit", "verify"]).await;
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("could not be verified") && words.contains("--heads"), "{words}");
    let (code, words) = command(&home, &["audit", "verify", "--no-heads"]).await;
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("was cut off at an end"), "{words}");
}

#[tokio::test]
async fn where_nothing_ever_ran_there_is_nothing_to_verify() {
    let (code, words) = command(&Home::new().await, &["audit", "verify"]).await;
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("there is no audit signing key at"), "{words}");
}

#[tokio::test]
async fn a_head_that_was_altered_or_taken_out_is_found() {
    let home = after_a_run().await;
    let text = fs::read_to_string(heads(&home)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.len() > 1, "one at the start and one at the end: {text}");
    let number = text.replacen("\"number\":0", "\"number\":1", 1);
    for (altered, because) in [(number, "signature"), (lines[1..].join("\n") + "\n", "does not follow")] {
        fs::write(heads(&home), altered).unwrap();
        let (code, words) = command(&home, &["audit", "verify"]).await;
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains("line 1 of") && words.contains(because), "{words}");
    }
}

#[tokio::test]
async fn heads_are_believed_by_a_key_that_was_kept_elsewhere() {
    let home = after_a_run().await;
    let (code, key) = command(&home, &["audit", "public-key"]).await;
    assert_eq!(code, Some(0), "{key}");
    let (code, words) = command(&home, &["audit", "verify", "--public-key", key.trim()]).await;
    assert_eq!(code, Some(0), "{words}");
    assert!(!words.contains("proves less"), "{words}");
    let (_, words) = command(&home, &["audit", "verify"]).await;
    assert!(words.contains("proves less"), "{words}");

    // Somebody who has made a new trail and signed it himself.
    let other = after_a_run().await;
    let (_, key) = command(&other, &["audit", "public-key"]).await;
    let (code, words) = command(&home, &["audit", "verify", "--public-key", key.trim()]).await;
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("none of those that were given"), "{words}");
    let (code, words) = command(&home, &["audit", "verify", "--public-key", "AAAA"]).await;
    assert_eq!(code, Some(2), "{words}");
}

#[tokio::test]
async fn after_a_rotation_heads_of_both_keys_are_believed() {
    let home = after_a_run().await;
    let (_, before) = command(&home, &["audit", "public-key"]).await;
    let (code, words) = command(&home, &["audit", "rotate-key"]).await;
    assert_eq!(code, Some(0), "{words}");
    let (_, after) = command(&home, &["audit", "public-key"]).await;
    assert!(before != after && words.contains(before.trim()) && words.contains(after.trim()), "{words}");
    let home = Server::start_in(home, Options::default()).await.terminate().await;
    let (whole, words) = verify(&home).await;
    assert!(whole, "{words}");
    let both = ["audit", "verify", "--public-key", before.trim(), "--public-key", after.trim()];
    assert_eq!(command(&home, &both).await.0, Some(0));
    let (code, words) = command(&home, &["audit", "verify", "--public-key", before.trim()]).await;
    assert_eq!(code, Some(1), "{words}");
}

#[tokio::test]
async fn a_place_for_heads_that_cant_be_written_is_found_at_the_start() {
    let nowhere = Options::default().env("SLUICE__AUDIT__HEADS_FILE", "/nowhere/at/all/heads.jsonl");
    let Err((home, status)) = Server::try_start_in(Home::new().await, nowhere).await else { panic!("it started") };
    assert_eq!(status.code(), Some(1));
    let log = fs::read_to_string(home.path().join("sluice.log")).unwrap();
    assert!(log.contains("the file of audit heads /nowhere/at/all/heads.jsonl can't be written"), "{log}");
}
