//! Compiles `proto/` without protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost_reflect::prost::Message;

const FILES: [&str; 3] =
    ["sluice/privacy/v1/privacy.proto", "shared/events/v1/header.proto", "sluice/eligibility/v1/eligibility.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    // prost-build knows no custom options and would drop them, so the descriptors are written from protox's own bytes.
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &encoded)?;

    prost_build::Config::new().compile_fds(prost_types_of(&encoded)?)?;
    Ok(())
}

fn prost_types_of(encoded: &[u8]) -> Result<prost_reflect::prost_types::FileDescriptorSet, Box<dyn Error>> {
    Ok(prost_reflect::prost_types::FileDescriptorSet::decode(encoded)?)
}
