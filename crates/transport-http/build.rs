//! Generates the messages of the peer protocol from `groupcache.proto`, without a protoc on the machine.
#![allow(
    clippy::print_stdout,
    reason = "this is how a build script speaks to cargo"
)]

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!(
        "cargo:rerun-if-changed={}",
        protos.join("groupcache.proto").display()
    );
    let files = protox::compile(["groupcache.proto"], [protos])?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
