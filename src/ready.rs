//! The ready file: what scripts wait for.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Where a running Sluice can be reached, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Ready {
    /// The base of all addresses, without a slash at the end.
    pub url: String,
    /// GraphQL over HTTP.
    pub graphql: String,
    /// GraphQL over WebSocket (graphql-transport-ws).
    pub subscriptions: String,
    /// The demo people by name ("member", "guardian" …); empty, and then left out, where Sluice signs no tokens.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub viewers: BTreeMap<String, DemoViewer>,
}

/// A demo person.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DemoViewer {
    /// Of the member: her MemberId. Of the others: their user id.
    pub id: String,
    pub token: String,
}

impl Ready {
    /// The addresses of a server that is bound to `addr`. One that listens on all interfaces is named by the loopback.
    pub fn at(addr: SocketAddr) -> Self {
        let ip = match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let host = SocketAddr::new(ip, addr.port());
        Self {
            url: format!("http://{host}"),
            graphql: format!("http://{host}/graphql"),
            subscriptions: format!("ws://{host}/graphql"),
            viewers: BTreeMap::new(),
        }
    }

    /// Writes it whole: who sees the file sees all of it. It holds tokens, so that only its owner can read it.
    ///
    /// # Errors
    /// The directory does not exist or cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = Path::new(&temporary);
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
        file.write_all(&text).and_then(|()| fs::rename(temporary, path)).inspect_err(|_| {
            // The error that is reported is the first one.
            let _ = fs::remove_file(temporary);
        })
    }
}

/// Removes the file of an earlier run, so that nobody takes it for this one's.
///
/// # Errors
/// It is there, but cannot be removed.
pub fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;

    fn ready() -> Ready {
        let mut ready = Ready::at(([127, 0, 0, 1], 4711).into());
        let nurse = DemoViewer { id: "u-nurse".into(), token: "t".into() };
        ready.viewers.insert("nurse".into(), nurse);
        ready
    }

    #[test]
    fn it_is_one_json_object_for_its_owner_only() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("ready.json");
        ready().write(&path).unwrap();
        let read: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let expected = json!({
            "url": "http://127.0.0.1:4711",
            "graphql": "http://127.0.0.1:4711/graphql",
            "subscriptions": "ws://127.0.0.1:4711/graphql",
            "viewers": { "nurse": { "id": "u-nurse", "token": "t" } },
        });
        assert_eq!(read, expected);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn no_demo_people_no_viewers() {
        let text = serde_json::to_string(&Ready::at(([127, 0, 0, 1], 1).into())).unwrap();
        assert!(!text.contains("viewers"), "{text}");
    }

    #[test]
    fn all_interfaces_are_reached_by_the_loopback() {
        assert_eq!(Ready::at(([0, 0, 0, 0], 80).into()).url, "http://127.0.0.1:80");
        assert_eq!(Ready::at("[::]:80".parse().unwrap()).subscriptions, "ws://[::1]:80/graphql");
    }

    #[test]
    fn it_replaces_an_older_one_whole_and_clear_removes_it() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("ready.json");
        fs::write(&path, "x".repeat(10_000)).unwrap();
        ready().write(&path).unwrap();
        assert!(serde_json::from_slice::<Value>(&fs::read(&path).unwrap()).is_ok());
        clear(&path).unwrap();
        assert!(!path.exists());
        clear(&path).unwrap();
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_and_leaves_nothing() {
        let dir = TempDir::new().unwrap();
        assert!(ready().write(&dir.path().join("absent/ready.json")).is_err());
        fs::create_dir(dir.path().join("taken")).unwrap();
        assert!(ready().write(&dir.path().join("taken")).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
