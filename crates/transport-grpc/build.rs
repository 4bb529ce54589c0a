//! Generates the client and the server of the services that gaggle-proto describes. The messages
//! are gaggle-proto's own.

use std::error::Error;

use gaggle_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic_build::manual::{Builder, Method, Service};

/// Where `src/wire.rs` has the messages.
const MESSAGES: &str = "crate::wire";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET)?;
    let mut services = Vec::new();
    for file in &files.file {
        for service in &file.service {
            let mut built = Service::builder()
                .name(service.name())
                .package(file.package());
            for method in &service.method {
                built = built.method(
                    Method::builder()
                        .name(snake(method.name()))
                        .route_name(method.name())
                        .input_type(message(method.input_type()))
                        .output_type(message(method.output_type()))
                        .codec_path("crate::codec::Bounded")
                        .build(),
                );
            }
            services.push(built.build());
        }
    }
    // Without tonic's own transport: the client gets its channel, and the server its port, from
    // elsewhere.
    Builder::new().build_transport(false).compile(&services);
    Ok(())
}

/// `HandOver` as `hand_over`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// The Rust path of a message; `full_name` is `.package.Message`.
fn message(full_name: &str) -> String {
    let name = full_name.rsplit('.').next().unwrap_or(full_name);
    format!("{MESSAGES}::{name}")
}
