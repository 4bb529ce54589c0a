//! Generates the messages of the peer protocol from the files in `proto`, without a protoc on the machine.
#![allow(
    clippy::print_stdout,
    reason = "this is how a build script speaks to cargo"
)]

use std::error::Error;
use std::path::PathBuf;

const PROTOS: [&str; 4] = [
    "groupcache.proto",
    "gaggle.proto",
    "batch.proto",
    "control.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let protos = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    for file in PROTOS {
        println!("cargo:rerun-if-changed={}", protos.join(file).display());
    }
    let files = protox::compile(PROTOS, [protos])?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
