//! Values that are kept decoded, in addition to the bytes that the group holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use gaggle_lru::{Cache, Options};

/// The group's store packs shorter values into pages. A slice of a page would keep all of it in
/// memory, so these are copied.
const PAGE: usize = 4 << 10;

/// Decoded values with the bytes they were decoded from. It returns a value only for the same
/// bytes, which the group has just returned: a value that the group no longer serves is never
/// found here.
pub(crate) struct Kept<V> {
    cache: Cache<Bytes, Decoded<V>>,
    hits: AtomicU64,
}

struct Decoded<V> {
    of: Bytes,
    value: Arc<V>,
}

impl<V> Clone for Decoded<V> {
    fn clone(&self) -> Self {
        Self {
            of: self.of.clone(),
            value: Arc::clone(&self.value),
        }
    }
}

impl<V: Send + Sync + 'static> Kept<V> {
    pub(crate) fn new(capacity: u64) -> Self {
        let options = Options {
            capacity,
            ..Options::default()
        };
        // The size of a decoded value is unknown. It is charged its encoded bytes, in addition to
        // the size of its type.
        let weigh = |key: &Bytes, decoded: &Decoded<V>| {
            let bytes = key.len() + 2 * decoded.of.len() + size_of::<V>();
            u64::try_from(bytes).unwrap_or(u64::MAX)
        };
        Self {
            cache: Cache::new(options, weigh),
            hits: AtomicU64::new(0),
        }
    }

    /// The value of these bytes, if it is kept.
    pub(crate) fn get(&self, key: &[u8], bytes: &Bytes) -> Option<Arc<V>> {
        let same =
            |decoded: &Decoded<V>| is_same(&decoded.of, bytes).then(|| Arc::clone(&decoded.value));
        let value = self.cache.get_with(key, same).flatten()?;
        self.hits.fetch_add(1, Relaxed);
        Some(value)
    }

    pub(crate) fn keep(&self, key: &[u8], bytes: &Bytes, value: &Arc<V>) {
        let of = match bytes.len() {
            0..PAGE => Bytes::copy_from_slice(bytes),
            _ => bytes.clone(),
        };
        let value = Arc::clone(value);
        // A value that can never fit is decoded each time.
        let _ = self
            .cache
            .insert(Bytes::copy_from_slice(key), Decoded { of, value });
    }

    /// Frees the memory of a value that would not be served any more.
    pub(crate) fn remove(&self, key: &[u8]) {
        let _ = self.cache.remove(key);
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.cache.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.cache.bytes()
    }
}

/// Whether two values are equal. Large values are shared by all their hits, and not compared byte
/// by byte.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    one.len() == other.len() && (one.as_ptr() == other.as_ptr() || one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_of_the_same_key_are_found() {
        let kept = Kept::new(1 << 20);
        let (old, new) = (Bytes::from_static(b"630"), Bytes::from_static(b"631"));
        kept.keep(b"Tom", &old, &Arc::new(630));
        assert_eq!(kept.get(b"Tom", &Bytes::from("630")), Some(Arc::new(630)));
        assert_eq!(kept.get(b"Tom", &new), None);
        assert_eq!(kept.get(b"Jack", &old), None);
        kept.keep(b"Tom", &new, &Arc::new(631));
        assert_eq!((kept.get(b"Tom", &old), kept.len()), (None, 1));
        assert_eq!(kept.hits(), 1);
    }

    #[test]
    fn it_stays_within_its_capacity() {
        let kept = Kept::new(64 << 10);
        for number in 0..1_000_u32 {
            let value = Bytes::from(vec![0; 1 << 10]);
            kept.keep(&number.to_be_bytes(), &value, &Arc::new(number));
            assert!(kept.bytes() <= 64 << 10);
        }
        assert!((20..32).contains(&kept.len()), "{}", kept.len());
        let value = Bytes::from(vec![0; 1 << 20]);
        kept.keep(b"large", &value, &Arc::new(0));
        assert_eq!(kept.get(b"large", &value), None);
    }
}
