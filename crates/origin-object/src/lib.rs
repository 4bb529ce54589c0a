//! Values from the objects of a bucket: Amazon S3 and services that speak its protocol, Google
//! Cloud Storage, Azure Blob Storage, or a local directory.
//!
//! The key is put into a template and is the object's name; the value is the object, whole.
//! [`ObjectOrigin::new`] makes a client for a URL, and [`ObjectOrigin::from_store`] takes any
//! [`ObjectStore`](object_store::ObjectStore) that a program has already:
//!
//! ```
//! use std::sync::Arc;
//!
//! use gaggle_group::{Content, Key, Load, Origin};
//! use gaggle_origin_object::object_store::{ObjectStoreExt, memory::InMemory, path::Path};
//! use gaggle_origin_object::{ObjectOptions, ObjectOrigin};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(InMemory::new());
//! store.put(&Path::parse("scores/users/Tom.json")?, "630".into()).await?;
//!
//! let origin = ObjectOrigin::from_store(store, ObjectOptions {
//!     url: "memory:///scores".to_owned(), // as in s3://bucket/scores, for `new`
//!     path: "users/{key}.json".to_owned(),
//!     ..ObjectOptions::default()
//! })?;
//! let found = origin.load(Load::new(&Key::from("Tom"), 1024)).await?;
//! assert_eq!(found.content, Content::Value("630".into()));
//! // With the metadata of the last answer, the store does not send the object again.
//! let again = Key::from("Tom");
//! let again = origin.load(Load::new(&again, 1024).with_stale(&found.metadata)).await?;
//! assert_eq!(again.content, Content::NotModified);
//! let found = origin.load(Load::new(&Key::from("Kesa"), 1024)).await?;
//! assert_eq!(found.content, Content::Absent);
//! # Ok(()) }
//! ```
//!
//! # Services
//!
//! | URL | feature | keys |
//! |---|---|---|
//! | `s3://bucket/prefix` | `aws`, on by default | `access_key_id`, `secret_access_key`, and a session `token` |
//! | `gs://bucket/prefix` | `gcp` | a bearer `token`, or `google_service_account` in `options` |
//! | `az://container/prefix` | `azure` | the account as `access_key_id`, its key as `secret_access_key`, or a bearer `token` |
//! | `file:///directory` | `fs` | |
//!
//! A service that speaks the protocol of S3 is named by `endpoint`: MinIO, Ceph, Cloudflare R2.
//! `http://` needs `allow_http`.
//!
//! If neither a secret, a token nor `anonymous` is given, keys come from where the `object_store`
//! crate looks for them: the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`, including any endpoints
//! set there), web identity tokens, container credentials, and then the instance's metadata
//! service, which the client asks over HTTP at its link-local address. If they are given, the
//! environment is not read.
//!
//! Opening sends no request, so a service that is down delays no start, and no permission to list
//! is needed. A missing bucket or wrong keys are failures of loads. Only a directory must exist.
//!
//! # What a key names
//!
//! The object's name is the prefix, a slash, and `path` with the key in place of `{key}`, byte for
//! byte: a slash in a key is a slash in the name, and the name is not encoded. (The URL of a
//! request is encoded, as the protocol requires.) No key names an object outside of the prefix,
//! and no two keys name the same object.
//!
//! These are failures ([`OriginFault::Key`](gaggle_group::OriginFault::Key)) and are not
//! requested:
//!
//! | key | why |
//! |---|---|
//! | one that is not UTF-8 | no object has such a name, and an encoded one would be another key's |
//! | control characters | some proxies and services refuse requests with them |
//! | an empty segment: `/a`, `a//b`, `a/`, or an empty key if it is a whole segment | some stores take `a//b` for `a/b` |
//! | a segment `.` or `..`, between `/` or `\`, as it is or decoded up to four times (`%2e%2e`, `..%2f`) | proxies and stores over file systems resolve it |
//! | a name over 1024 bytes | the services' limit |
//!
//! # What an answer means
//!
//! | answer | meaning |
//! |---|---|
//! | the object | the value is its bytes, as stored: a compressed object stays compressed |
//! | 404 with the code `NoSuchKey` or `BlobNotFound` | not found |
//! | 404 with another code, such as `NoSuchBucket`, or with none | a failure: it is not about the object, or not from a store |
//! | 304, if the request had a condition | the group's value is still correct |
//! | any other status, redirects included | a failure; 408, 429 and 5xx after the retries |
//! | no connection, a silence over `read_timeout`, a load over `timeout` | a failure |
//! | a body that breaks off | the rest of the same object is requested; a failure after the retries |
//! | an object over the limit | [`OriginError::TooLarge`](gaggle_group::OriginError::TooLarge), from the length that precedes the body, which is not read |
//!
//! A failure's text is for the log of the node that loads. It has the bucket, the template, and
//! the service's error code (`AccessDenied`), but neither the key nor a secret. Clients
//! and other nodes get only the [`OriginFault`](gaggle_group::OriginFault).
//!
//! S3 answers 403 instead of 404 if the client may not list the bucket (`s3:ListBucket`). An
//! absent key is then a failure and is requested each time: grant that permission if keys are
//! often absent.
//!
//! # Metadata, freshness and revalidation
//!
//! A value's [`Metadata`](gaggle_group::Metadata) has the object's `Content-Type`,
//! `Content-Encoding`, `ETag` and `Last-Modified`. The `Cache-Control` that is stored with an
//! object sets for how long its value may be served, as for any shared cache: `max-age`,
//! `s-maxage`, `no-store`, `no-cache`, `private`, `must-revalidate`, `proxy-revalidate`,
//! `stale-while-revalidate`, `stale-if-error`. With `honour_freshness` off the group decides
//! alone, as it does for an object without `Cache-Control`.
//!
//! A stale value is requested with `If-None-Match`, or with `If-Modified-Since` if it has no tag.
//!
//! # Memory
//!
//! A value of 4 KiB or more draws on [`Load::budget`](gaggle_group::Load::budget) for its length
//! before any of it is read. The buffer grows as bytes arrive. At most 256 KiB is read of an
//! answer that is not an object.
//!
//! # Large objects
//!
//! Objects of `parallel_from` bytes or more that have a strong entity tag are read in `parts`
//! parts of `part_size` at a time: the first answer from its beginning on, the others by ranges
//! from the end. Each range is requested with `If-Match`, and its tag and length are compared, so
//! that no value is made of two versions. If the object has been replaced, it is read from the
//! start once more, and a second change is a failure.
//!
//! It is off by default, since it helps only if the service or the network limits each connection,
//! and costs a request for each part. Measured twice with the default part size and four parts,
//! objects of 8 to 64 MiB, and a server in the same process, on two cores busy with other work:
//! where answers were paced, eleven of twelve medians were 0.5 to 0.8 of the time of one request
//! (one was 1.6); where nothing limited a connection, they were 0.8 to 1.7. Measure before use.
//!
//! # Trade-offs
//!
//! * One object is one request: object stores read no batches, so that `max_batch` stays 1.
//! * HTTP/1.1, without proxies. Certificates are checked against Mozilla's roots, which are
//!   compiled in: a service with a private authority cannot be reached over https. The HTTP client
//!   is this crate's own, over hyper and rustls with ring, not that of `object_store`, whose
//!   `reqwest` would add a second provider of cryptography and change other clients in the
//!   program.
//! * The `object_store` crate repeats a request that failed up to `retries` times, with pauses
//!   that grow from 100 ms to 1 s. A failure is reported that much later, and `timeout` bounds the
//!   whole load.
//! * A read in parts allocates the object's length at once, reserved in the budget, and drops the
//!   connection of its first answer.
//! * Each value is copied once into an allocation of its own size.
//! * Commas in quoted strings of a `Cache-Control` split it. At worst a value is kept for a
//!   shorter time.
//! * If a store that is given to [`ObjectOrigin::from_store`] reports "not found", the key is not
//!   found: this crate does not see the codes of its answers.
//! * Keys that are not UTF-8, or end in a slash, cannot be objects here, though some services
//!   allow them.
//! * `file://` is for tests and for programs that read a bucket elsewhere: it follows symbolic
//!   links, those that lead outside included, opens FIFOs, and reads pieces of 8 KiB. For a local
//!   directory, `gaggle-origin-files` is faster and stays inside it.
#![cfg_attr(
    not(any(feature = "aws", feature = "gcp", feature = "azure")),
    allow(dead_code, reason = "much is for the services alone")
)]

mod buffer;
#[cfg(feature = "cloud")]
mod client;
mod failure;
mod freshness;
mod metadata;
mod options;
mod origin;
mod parts;
mod place;
mod seen;
mod store;
mod template;

pub use object_store;
pub use options::{ObjectOptions, OptionsError};
pub use origin::ObjectOrigin;
