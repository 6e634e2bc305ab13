//! Where SpiceDB is and how long it may take.

use std::{fmt, path::PathBuf, time::Duration};

#[derive(Clone)]
pub struct SpiceDbOptions {
    /// `http://host:port` or `https://host:port` of SpiceDB's gRPC API.
    pub endpoint: String,
    /// The server's `--grpc-preshared-key`.
    pub preshared_key: String,
    /// Certificates, in PEM, that the server's must be signed by. None: those that the system trusts. For `https` only.
    pub ca_file: Option<PathBuf>,
    /// The longest that one request may take. A check whose request took longer is `Unavailable`, and so is one that has waited
    /// for its turn for as long while SpiceDB answered nobody.
    pub deadline: Duration,
    /// How many bulk checks may be under way at the same time. What comes meanwhile goes together with the next one.
    pub max_in_flight: usize,
    /// How late a change may be heeded by whoever keeps answers; zero: no answer is to be kept.
    pub max_staleness: Duration,
}

impl fmt::Debug for SpiceDbOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, preshared_key: _, ca_file, deadline, max_in_flight, max_staleness } = self;
        f.debug_struct("SpiceDbOptions")
            .field("endpoint", endpoint)
            .field("ca_file", ca_file)
            .field("deadline", deadline)
            .field("max_in_flight", max_in_flight)
            .field("max_staleness", max_staleness)
            .finish_non_exhaustive()
    }
}
