//! Compiles `proto/` without protoc, and generates from its annotations what would otherwise be written twice: the table
//! of labels, redaction, and the GraphQL types (docs/adr/0002).

use std::{env, error::Error, fs, path::PathBuf};

use prost_reflect::{DescriptorPool, prost::Message, prost_types::FileDescriptorSet};

#[path = "build/generate.rs"]
mod generate;
#[path = "build/model.rs"]
mod model;

const FILES: [&str; 5] = [
    "sluice/privacy/v1/privacy.proto",
    "shared/events/v1/header.proto",
    "sluice/coverage/v1/coverage.proto",
    "sluice/eligibility/v1/eligibility.proto",
    "sluice/emergency/v1/emergency.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    // prost-build knows no custom options and would drop them, so the descriptors are kept as protox encodes them.
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("descriptors.bin"), &encoded)?;

    prost_build::Config::new().enable_type_names().compile_fds(FileDescriptorSet::decode(encoded.as_slice())?)?;

    let pool = DescriptorPool::decode(encoded.as_slice())?;
    let model = model::read(&pool)?;
    fs::write(out.join("annotations.rs"), generate::annotations(&model))?;
    fs::write(out.join("graphql.rs"), generate::graphql(&model))?;
    Ok(())
}
