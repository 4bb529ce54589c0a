#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

fn written(group: &str, keys: &[&[u8]]) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), group, MAX_LEN).unwrap();
    for key in keys {
        assert!(writer.key(key).unwrap());
    }
    let (bytes, size) = writer.end().unwrap();
    assert_eq!(
        (size.keys, size.len),
        (keys.len() as u64, bytes.len() as u64)
    );
    bytes
}

fn read(bytes: &[u8], group: &str) -> Result<Vec<Vec<u8>>, Flaw> {
    let mut reader = Reader::begin(bytes, group)?;
    let mut keys = Vec::new();
    while let Some(key) = reader.next_key()? {
        keys.push(key.to_vec());
    }
    Ok(keys)
}

/// Among them keys that look like a mark, like terminated text, and like nothing.
fn odd_keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    keys.push(Vec::new());
    keys.push(END.to_le_bytes().to_vec());
    keys.push(MAGIC.to_vec());
    keys.push((0..=255).cycle().take(16 << 10).collect());
    keys.push(vec![0; MAX_KEY]);
    keys.push(b"last\0".to_vec());
    keys
}

#[test]
fn what_is_written_is_read_in_its_order() {
    let keys = odd_keys();
    let borrowed: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    for group in ["scores", "", "größe"] {
        assert_eq!(read(&written(group, &borrowed), group).unwrap(), keys);
        assert_eq!(read(&written(group, &[]), group).unwrap(), [[0; 0]; 0]);
    }
}

#[test]
fn the_format_is_this() {
    let expected =
        b"\x89GGLKEY\n\x01\0\0\0\x01\0\0\0g\x03\0\0\0Tom\0\0\0\0\xff\xff\xff\xff\x02\0\0\0\0\0\0\0";
    let bytes = written("g", &[b"Tom", b""]);
    let (bytes, sum) = bytes.split_at(bytes.len() - 8);
    assert_eq!(bytes, expected);
    assert_eq!(sum, xxhash_rust::xxh3::xxh3_64(bytes).to_le_bytes());
}

#[test]
fn one_that_ends_early_is_incomplete_wherever_it_ends() {
    let whole = written("scores", &[b"Tom", b"", b"Jack"]);
    for len in 0..whole.len() {
        match read(&whole[..len], "scores") {
            Err(Flaw::Truncated { len: told }) => assert!(told <= len as u64),
            other => panic!("{len}: {other:?}"),
        }
    }
}

#[test]
fn no_bit_can_change_unnoticed() {
    let whole = written("scores", &[b"Tom", b"", b"Jack"]);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            let Err(flaw) = read(&bytes, "scores") else {
                panic!("bit {bit} of byte {at}");
            };
            assert_eq!(matches!(flaw, Flaw::Foreign), at < MAGIC.len(), "{flaw:?}");
        }
    }
}

#[test]
fn other_files_are_distinguished() {
    let of_another = written("scores", &[b"Tom"]);
    assert!(matches!(
        read(&of_another, "score"),
        Err(Flaw::OtherGroup { found }) if found == "scores"
    ));
    for foreign in [&b"[node]\n"[..], b"G", b"\x89PNG\r\n\x1a\n and more"] {
        assert!(matches!(read(foreign, "scores"), Err(Flaw::Foreign)));
    }
    let mut newer = of_another;
    newer[8] = 2;
    let flaw = read(&newer, "scores").unwrap_err();
    let line = "has version 2 of the format, and this release reads version 1";
    assert_eq!(flaw.to_string(), line);
    let mut longer = written("scores", &[]);
    longer.push(0);
    let flaw = read(&longer, "scores").unwrap_err();
    assert_eq!(flaw.to_string(), "is damaged: it goes on after its end");
}

#[test]
fn a_length_that_is_claimed_reserves_no_memory() {
    let mut bytes = written("scores", &[]);
    bytes.truncate(bytes.len() - usize::try_from(TRAILER).unwrap());
    bytes.extend(0x7fff_ffff_u32.to_le_bytes());
    let flaw = read(&bytes, "scores").unwrap_err();
    assert_eq!(flaw.to_string(), "is damaged: a key is too long");
}

#[test]
fn it_stays_within_its_bytes_and_leaves_out_the_last_keys() {
    let whole = written("scores", &[b"Tom", b"Jack"]).len() as u64;
    let mut writer = Writer::begin(Vec::new(), "scores", whole).unwrap();
    let added = [&b"Tom"[..], b"Jack", b""].map(|key| writer.key(key).unwrap());
    assert_eq!(added, [true, true, false]);
    let (bytes, size) = writer.end().unwrap();
    assert_eq!((size.keys, size.len), (2, whole));
    assert_eq!(read(&bytes, "scores").unwrap(), [&b"Tom"[..], b"Jack"]);
    // A key longer than allowed is no reason to stop.
    let mut writer = Writer::begin(Vec::new(), "scores", MAX_LEN).unwrap();
    assert!(writer.key(&vec![0; MAX_KEY + 1]).unwrap());
    assert_eq!(writer.end().unwrap().1.keys, 0);
}
