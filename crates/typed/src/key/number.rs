//! Numbers in decimal, and truth values.

use super::{BadKey, FromKey, ToKey, read_text, write_text};

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl ToKey for $type {
            fn write_key(&self, out: &mut Vec<u8>) {
                write_text(self, out);
            }
        }

        impl FromKey for $type {
            fn from_key(bytes: &[u8]) -> Result<Self, BadKey> {
                read_text(bytes)
            }
        }
    )+};
}

numbers!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, bool
);

#[cfg(test)]
mod tests {
    use crate::key::read_exactly;
    use crate::{BadKey, ToKey as _};

    #[test]
    fn a_number_is_written_one_way() {
        for number in [i64::MIN, -1, 0, 7, i64::MAX] {
            assert_eq!(*number.to_key(), *number.to_string().as_bytes());
            assert_eq!(read_exactly(&number.to_key()), Ok(number));
        }
        for other in [
            "007",
            "+7",
            "-0",
            " 7",
            "7 ",
            "",
            "7.0",
            "9223372036854775808",
        ] {
            assert!(read_exactly::<i64>(other.as_bytes()).is_err(), "{other:?}");
        }
        assert_eq!(
            read_exactly::<i64>(b"+7"),
            Err(BadKey::new("it is written another way"))
        );
        assert_eq!(read_exactly(b"true"), Ok(true));
        assert!(read_exactly::<u8>(b"256").is_err());
    }
}
