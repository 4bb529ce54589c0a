//! Encodes parsed messages.

use std::net::IpAddr;

use super::{Id, Known, MAX_BLOCK, MAX_NODES, News};

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    // All texts were read with a length of 16 bits, or are keys of this crate.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend(length.to_le_bytes());
    out.extend_from_slice(&text.as_bytes()[..length.into()]);
}

fn put_id(out: &mut Vec<u8>, id: &Id) {
    put_text(out, "");
    out.extend(id.generation.to_le_bytes());
    match id.address.ip() {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend(ip.octets());
        }
    }
    out.extend(id.address.port().to_le_bytes());
}

pub(super) fn put_digest(out: &mut Vec<u8>, known: &[Known]) {
    let known = &known[..known.len().min(MAX_NODES)];
    let count = u16::try_from(known.len()).unwrap_or(u16::MAX);
    out.extend(count.to_le_bytes());
    for node in known {
        put_id(out, &node.id);
        out.extend(node.heartbeat.to_le_bytes());
        out.extend(0_u64.to_le_bytes());
        out.extend(node.version.to_le_bytes());
    }
}

/// Into blocks that are not packed: what is written goes to chitchat at once, or replaces a
/// message that was too large.
pub(super) fn put_delta(out: &mut Vec<u8>, all: &[News]) {
    let mut operations = Vec::new();
    for news in all {
        put_news(&mut operations, news);
    }
    for block in operations.chunks(MAX_BLOCK) {
        out.push(2);
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.extend(length.to_le_bytes());
        out.extend_from_slice(block);
    }
    out.push(0);
}

pub(super) fn put_news(out: &mut Vec<u8>, news: &News) {
    out.push(0);
    put_id(out, &news.id);
    out.extend(0_u64.to_le_bytes());
    out.extend(news.after.to_le_bytes());
    let mut last = 0;
    for value in &news.values {
        out.push(1);
        put_text(out, value.key.as_str());
        put_text(out, &value.value);
        out.extend(value.version.to_le_bytes());
        out.push(0);
        last = value.version;
    }
    // The last values were ignored: they are not requested again.
    if news.upto > last {
        out.push(2);
        out.extend(news.upto.to_le_bytes());
    }
}
