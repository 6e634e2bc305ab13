//! The process: started, looked at, ended.

use std::{fs, process::Output};

use serde_json::{Value, json};

use crate::{
    harness::{MEMBER, RICH, WATCH, gateway, question, run},
    installation::Home,
};

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn sigterm_sends_clients_away_with_advice() {
    let mut server = gateway().await;
    let mut ws = server.viewer("nurse").connect().await;
    ws.subscribe("w", WATCH, json!({ "member": MEMBER, "after": null })).await;
    ws.ping().await;
    server.signal_term().await;
    let close = ws.closed().await.expect("a close frame");
    assert_eq!(u16::from(close.code), 1001);
    assert!(close.reason.contains("resume with your last cursor"), "{}", close.reason);
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn it_tells_how_it_is() {
    let server = gateway().await;
    assert_eq!(server.get("/healthz").await, (200, "ok".to_owned()));
    let (status, ready) = server.get("/readyz").await;
    assert_eq!((status, &serde_json::from_str::<Value>(&ready).unwrap()["status"]), (200, &json!("ready")));
    server.viewer("nurse").request(question(RICH), "k-1").await;
    // A poll is over when its subscription has ended, and so was counted.
    server.viewer("nurse").now().await;
    let (status, metrics) = server.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("# TYPE sluice_"), "{metrics}");
    for private in [MEMBER, "u-nurse", server.home().tenant(), "AETNA12345"] {
        assert!(!metrics.contains(private), "{private} is in the metrics");
    }
}

#[tokio::test]
async fn a_key_that_is_not_known_is_refused() {
    let home = Home::new().await;
    let config = home.path().join("sluice.toml");
    fs::write(&config, "[limits]\nmax_dephts = 3\n").unwrap();
    let ended = run(&["serve", "--config", config.to_str().unwrap()], &home, &[]).await;
    assert_eq!(ended.status.code(), Some(2));
    let words = words(&ended);
    assert!(words.contains("max_dephts"), "{words}");
    assert!(!home.data_dir().exists(), "nothing was begun");
}

/// On the real parts a data directory holds nothing that two processes could not share.
mod embedded {
    use super::*;

    #[tokio::test]
    async fn a_data_directory_has_one_process() {
        let server = gateway().await;
        let second = run(&["serve", "--listen", "127.0.0.1:0"], server.home(), &[]).await;
        assert!(!second.status.success());
        let words = words(&second);
        assert!(words.contains("another sluice process"), "{words}");
        assert!(words.contains(server.data_dir().to_str().unwrap()), "it names the directory: {words}");
        assert_eq!(server.get("/healthz").await.0, 200, "the first one goes on");
    }
}
