//! Keys of many kinds, and a value for each.

use crate::support::{Origin, origin::value_of};

/// Around the lengths at which protobuf's varint and the buffers grow.
const LENGTHS: [usize; 12] = [
    0,
    1,
    2,
    127,
    128,
    16_383,
    16_384,
    65_535,
    65_536,
    (1 << 20) - 1,
    1 << 20,
    300_000,
];

/// An origin that has a value for every key: of N bytes for `bytes-N-…`, of up to 512 for others.
pub(crate) async fn origin() -> Origin {
    Origin::serve(|key| Some(value(key))).await
}

pub(crate) fn value(key: &[u8]) -> Vec<u8> {
    match length(key) {
        Some(len) => key.iter().cycle().take(len).copied().collect(),
        None => value_of(key),
    }
}

fn length(key: &[u8]) -> Option<usize> {
    let rest = std::str::from_utf8(key).ok()?.strip_prefix("bytes-")?;
    rest.split('-').next()?.parse().ok()
}

/// `key-0`, `key-1` and so on.
pub(crate) fn plain(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| format!("key-{n}").into_bytes())
        .collect()
}

/// So many keys, no two alike: ASCII, UTF-8, arbitrary bytes, the empty one, the longest, and
/// those with long values. None of them meets one of groupcache's known defects.
pub(crate) fn mixed(count: usize) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = vec![Vec::new(), vec![b'k'; 1 << 10]];
    for len in LENGTHS {
        keys.extend((0..4).map(|n| format!("bytes-{len}-{n}").into_bytes()));
    }
    keys.extend((0..1_000).map(|n| format!("张三/ñandú+{n}?&=#%").into_bytes()));
    let mut random = Random(1);
    let arbitrary = std::iter::repeat_with(|| random.bytes());
    let fit = arbitrary.filter(|key| key.len() > 4 && is_plain_to_go(key));
    keys.extend(fit.take(1_000));
    keys.extend(plain(count - keys.len()));
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!((distinct.len(), keys.len()), (count, count));
    keys
}

/// Whether a key passes through groupcache unchanged: no space, which its client sends as `+`, and
/// no path that Go's `ServeMux` redirects to another spelling.
fn is_plain_to_go(key: &[u8]) -> bool {
    let mut parts = key.rsplit(|byte| *byte == b'/');
    // A slash at the end is allowed.
    let last = parts.next().unwrap_or_default();
    !key.contains(&b' ')
        && !matches!(last, b"." | b"..")
        && parts.all(|part| !matches!(part, b"" | b"." | b".."))
}

/// A linear congruential generator: the keys are the same in each run.
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        self.0.to_be_bytes()[0]
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = self.byte() % 64;
        (0..len).map(|_| self.byte()).collect()
    }
}
