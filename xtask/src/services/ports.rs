//! Free ports of 127.0.0.1. Between choosing one and its use another program may take it: then others are tried.

use std::{io, net::TcpListener};

const ATTEMPTS: usize = 3;

/// Why a service did not start.
pub(crate) enum Failed {
    PortTaken(String),
    Otherwise(String),
}

impl Failed {
    /// Tells by what the service said.
    pub(crate) fn of(sentence: String) -> Self {
        let said = sentence.to_lowercase();
        if said.contains("address already in use") { Self::PortTaken(sentence) } else { Self::Otherwise(sentence) }
    }
}

impl From<String> for Failed {
    fn from(sentence: String) -> Self {
        Self::Otherwise(sentence)
    }
}

/// Starts something that needs `N` ports, on others where one of them was taken.
pub(crate) fn on_free<const N: usize, T>(mut start: impl FnMut([u16; N]) -> Result<T, Failed>) -> Result<T, String> {
    let mut attempt = 1;
    loop {
        let ports = free().map_err(|error| format!("no port of 127.0.0.1 can be had: {error}"))?;
        match start(ports) {
            Ok(started) => return Ok(started),
            Err(Failed::PortTaken(_)) if attempt < ATTEMPTS => attempt += 1,
            Err(Failed::PortTaken(why) | Failed::Otherwise(why)) => return Err(why),
        }
    }
}

/// Held all at the same time, so that they differ.
fn free<const N: usize>() -> io::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Failed, free, on_free};

    #[test]
    fn ports_differ() {
        let ports: HashSet<u16> = free::<20>().unwrap().into_iter().collect();
        assert_eq!(ports.len(), 20);
    }

    #[test]
    fn a_taken_port_is_known_by_what_the_service_said() {
        let said = [
            r#"could not bind IPv4 address "127.0.0.1": Address already in use"#,
            "java.net.BindException: Address already in use",
            "listen tcp 127.0.0.1:50051: bind: address already in use",
        ];
        assert!(said.iter().all(|said| matches!(Failed::of((*said).to_owned()), Failed::PortTaken(_))));
        assert!(matches!(Failed::of("out of memory".to_owned()), Failed::Otherwise(_)));
    }

    #[test]
    fn another_port_is_tried_a_few_times_where_one_was_taken() {
        let mut tried = Vec::new();
        let started = on_free(|[port]| {
            tried.push(port);
            if tried.len() < 3 { Err(Failed::PortTaken("taken".to_owned())) } else { Ok(port) }
        });
        assert_eq!(started.unwrap(), tried[2]);

        let mut times = 0;
        let never: Result<(), String> = on_free(|[_]| {
            times += 1;
            Err(Failed::PortTaken("taken".to_owned()))
        });
        assert_eq!((never.unwrap_err(), times), ("taken".to_owned(), 3));
    }

    #[test]
    fn another_failure_is_final() {
        let mut times = 0;
        let failed: Result<(), String> = on_free(|[_, _]| {
            times += 1;
            Err(Failed::Otherwise("no memory".to_owned()))
        });
        assert_eq!((failed.unwrap_err(), times), ("no memory".to_owned(), 1));
    }
}
