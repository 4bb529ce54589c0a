//! Generates the messages of the `.proto` files beside this one, without a system `protoc`: protox
//! compiles the files and prost-build writes the messages. The compiled descriptors are kept for
//! crates that generate services from them.
#![allow(
    clippy::print_stdout,
    reason = "this is how a build script speaks to cargo"
)]

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

const PROTOS: [&str; 4] = [
    "groupcache.proto",
    "gaggle.proto",
    "batch.proto",
    "control.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    for file in PROTOS {
        println!("cargo::rerun-if-changed={file}");
    }
    let files = protox::compile(PROTOS, [std::env::var("CARGO_MANIFEST_DIR")?])?;

    // Only the generated messages need comments and positions.
    let mut bare = files.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), bare.encode_to_vec())?;

    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
