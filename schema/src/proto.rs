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

/// `sluice.eligibility.v1`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod eligibility {
    include!(concat!(env!("OUT_DIR"), "/sluice.eligibility.v1.rs"));
}

/// All descriptors, annotations included, as an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
