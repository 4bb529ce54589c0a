//! Places in the server's log.

use std::fmt;
use std::str::FromStr;

/// A log sequence number: the number of bytes of log before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lsn(pub(crate) u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl FromStr for Lsn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let halves = text.split_once('/').and_then(|(high, low)| {
            let half = |text| u32::from_str_radix(text, 16).ok().map(u64::from);
            Some((half(high)?, half(low)?))
        });
        let (high, low) = halves.ok_or_else(|| format!("{text:?} where a log position belongs"))?;
        Ok(Self(high << 32 | low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_in_two_halves() {
        assert_eq!("16/B374D848".parse(), Ok(Lsn(0x16_b374_d848)));
        assert_eq!(Lsn(0x16_b374_d848).to_string(), "16/B374D848");
        for text in ["", "16", "x/1", "1/100000000", "/"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }
}
