//! Keys of several parts, with `/` between them. In a part `~` is written `~0` and `/` is written
//! `~1`, as in a JSON pointer (RFC 6901), so that no two tuples are written alike.

use super::{BadKey, FromKey, ToKey};

fn write_part(part: &(impl ToKey + ?Sized), out: &mut Vec<u8>) {
    for byte in part.to_key().iter() {
        match byte {
            b'~' => out.extend_from_slice(b"~0"),
            b'/' => out.extend_from_slice(b"~1"),
            byte => out.push(*byte),
        }
    }
}

fn read_part<'a, K: FromKey>(mut parts: impl Iterator<Item = &'a [u8]>) -> Result<K, BadKey> {
    let Some(written) = parts.next() else {
        return Err(BadKey::new("it has too few parts"));
    };
    let mut part = Vec::with_capacity(written.len());
    let mut bytes = written.iter();
    while let Some(byte) = bytes.next() {
        part.push(match byte {
            b'~' => match bytes.next() {
                Some(b'0') => b'~',
                Some(b'1') => b'/',
                _ => return Err(BadKey::new("a ~ in it is followed by neither 0 nor 1")),
            },
            byte => *byte,
        });
    }
    K::from_key(&part)
}

macro_rules! tuples {
    ($(($first:ident $first_at:tt, $($rest:ident $at:tt),+))+) => {$(
        impl<$first: ToKey, $($rest: ToKey),+> ToKey for ($first, $($rest),+) {
            fn write_key(&self, out: &mut Vec<u8>) {
                write_part(&self.$first_at, out);
                $(
                    out.push(b'/');
                    write_part(&self.$at, out);
                )+
            }
        }

        impl<$first: FromKey, $($rest: FromKey),+> FromKey for ($first, $($rest),+) {
            fn from_key(bytes: &[u8]) -> Result<Self, BadKey> {
                let mut parts = bytes.split(|byte| *byte == b'/');
                let key = (
                    read_part::<$first>(&mut parts)?,
                    $(read_part::<$rest>(&mut parts)?),+
                );
                match parts.next() {
                    None => Ok(key),
                    Some(_) => Err(BadKey::new("it has too many parts")),
                }
            }
        }
    )+};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::key::read_exactly;

    #[test]
    fn no_two_tuples_are_written_alike_and_each_reads_back() {
        let parts = [
            "", "/", "~", "~0", "~1", "//", "a", "a/", "/a", "~/", "0", "1",
        ];
        let mut written = HashMap::new();
        for a in parts {
            for b in parts {
                for c in parts {
                    let key = (a.to_owned(), b.to_owned(), c.to_owned());
                    let bytes = key.to_key().into_owned();
                    assert_eq!(read_exactly(&bytes), Ok(key.clone()), "{key:?}");
                    let other = written.insert(bytes, key.clone());
                    assert_eq!(other, None, "is written as {key:?}");
                    // Nested tuples too.
                    let nested = ((key.0, key.1), key.2);
                    assert_eq!(read_exactly(&nested.to_key()), Ok(nested.clone()));
                }
            }
        }
        assert_eq!(written.len(), parts.len().pow(3));
    }

    #[test]
    fn what_is_no_tuple_is_refused() {
        for bad in ["", "7", "7/a/b", "x/a", "7/a~", "7/~2", "07/a"] {
            assert!(
                read_exactly::<(u32, String)>(bad.as_bytes()).is_err(),
                "{bad}"
            );
        }
        assert_eq!(
            read_exactly::<(u32, String)>(b"7/a~1b"),
            Ok((7, "a/b".to_owned()))
        );
    }
}
