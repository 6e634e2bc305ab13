//! The messages of `proto/`, and what is generated from their annotations (see `build/` and docs/adr/0002).

/// `sluice.privacy.v1`: the annotations.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod privacy {
    include!(concat!(env!("OUT_DIR"), "/sluice.privacy.v1.rs"));
}

/// `shared.events.v1`: the header.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod header {
    include!(concat!(env!("OUT_DIR"), "/shared.events.v1.rs"));
}

/// `sluice.coverage.v1`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod coverage {
    include!(concat!(env!("OUT_DIR"), "/sluice.coverage.v1.rs"));
}

/// `sluice.emergency.v1`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod emergency {
    include!(concat!(env!("OUT_DIR"), "/sluice.emergency.v1.rs"));
}

/// `sluice.eligibility.v1`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod eligibility {
    include!(concat!(env!("OUT_DIR"), "/sluice.eligibility.v1.rs"));
}

/// All descriptors, annotations included, as an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests {
    use prost_reflect::{DescriptorPool, FieldDescriptor};

    use super::DESCRIPTORS;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proto/wire.golden");

    fn line(field: &FieldDescriptor) -> String {
        format!("{} = {} {:?} {:?}", field.full_name(), field.number(), field.cardinality(), field.kind())
    }

    /// One line for each field that may be on a disk or in a topic somewhere.
    fn wire() -> String {
        let pool = DescriptorPool::decode(DESCRIPTORS).expect("the build's own descriptors");
        let ours = pool.all_messages().filter(|message| !message.package_name().starts_with("google."));
        let mut lines: Vec<_> =
            ours.flat_map(|message| message.fields().map(|f| line(&f)).collect::<Vec<_>>()).collect();
        lines.sort();
        lines.join("\n") + "\n"
    }

    /// Stored events are read for ever: a field keeps its number and type, and is never removed.
    #[test]
    fn messages_change_only_compatibly() {
        let now = wire();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(GOLDEN, &now).expect("the golden file can be written");
        }
        let golden = std::fs::read_to_string(GOLDEN).expect("the golden file is there");
        let broken: Vec<_> = golden.lines().filter(|line| !now.lines().any(|new| new == *line)).collect();
        assert!(broken.is_empty(), "these fields were changed or removed, and stored events have them: {broken:#?}");
        assert_eq!(
            now, golden,
            "fields were added: run this test with UPDATE_GOLDEN=1 and commit schema/proto/wire.golden"
        );
    }
}
