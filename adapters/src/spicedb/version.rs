//! Which SpiceDB answers.

use std::fmt;

use spicedb_grpc_tonic::v1::ReadSchemaRequest;
use tonic::{
    Code,
    metadata::{MetadataMap, MetadataValue},
};

use super::{OpenError, SpiceDb, error};

/// Asks for the version, and where it is told (authzed's `requestmeta` and `responsemeta`).
const ASK: &str = "io.spicedb.requestversion";
const TOLD: &str = "io.spicedb.debug.version";

/// The first whose caches let go of what expired, on every datastore; those from 1.54 on may keep it.
const KEEPS_NO_EXPIRED_GRANTS: (u32, u32, u32) = (1, 57, 1);

/// What the server says about itself: nothing, where it is told not to (`--disable-version-response`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    told: Option<String>,
}

impl Version {
    /// Whether its caches may keep a grant past its expiration: before 1.57.1, or not known. Turning the dispatch caches off
    /// is the other remedy, which can't be seen from here.
    pub fn may_keep_expired_grants(&self) -> bool {
        self.told.as_deref().and_then(numbers).is_none_or(|numbers| numbers < KEEPS_NO_EXPIRED_GRANTS)
    }

    fn read(answer: &MetadataMap) -> Self {
        let told = answer.get(TOLD).and_then(|told| told.to_str().ok());
        Self { told: told.filter(|told| !told.is_empty()).map(str::to_owned) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.told.as_deref().unwrap_or("not told"))
    }
}

/// `v1.57.1`, `v1.57.1-2-gabcdef`.
fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let plain = version.trim_start_matches('v').split(['-', '+']).next()?;
    let mut parts = plain.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

impl SpiceDb {
    /// Asks the server which version it is.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn version(&self) -> Result<Version, OpenError> {
        let call = || async {
            let mut request = self.client.request(ReadSchemaRequest {});
            request.metadata_mut().insert(ASK, MetadataValue::from_static("1"));
            self.client.schema().read_schema(request).await
        };
        match self.client.call(call).await {
            Ok(answer) => Ok(Version::read(answer.metadata())),
            // It holds no schema yet.
            Err(status) if status.code() == Code::NotFound => Ok(Version::read(status.metadata())),
            Err(status) => Err(error::refused(&self.client.endpoint, "tell its version", &status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_before_1_57_1_and_unknown_ones_may_keep_expired_grants() {
        for (told, may) in [
            (Some("v1.57.1"), false),
            (Some("1.57.1"), false),
            (Some("v1.58.0"), false),
            (Some("v2.0.0"), false),
            (Some("v1.57.2-3-g1234567"), false),
            (Some("v1.57.0"), true),
            (Some("v1.9.12"), true),
            (Some("(devel)"), true),
            (None, true),
        ] {
            let version = Version { told: told.map(str::to_owned) };
            assert_eq!(version.may_keep_expired_grants(), may, "{told:?}");
        }
    }
}
