//! Reading, with bounds.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use super::{Id, Known, MAX_BLOCK, MAX_NODES, Malformed, News, Value};
use crate::key::Key;

/// The most bytes that a delta may unpack to. Real nodes take about 200 bytes each.
const MAX_UNPACKED: usize = 1 << 20;

type Read<T> = Result<T, Malformed>;

/// The rest to read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (taken, rest) = self
            .0
            .split_first_chunk()
            .ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Read<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Read<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Read<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Read<&'a str> {
        let length = self.u16()?.into();
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("text that is no UTF-8"))
    }

    fn id(&mut self) -> Read<Id> {
        if !self.text()?.is_empty() {
            return Err(Malformed("an identity with a name"));
        }
        let generation = self.u64()?;
        let ip: IpAddr = match self.u8()? {
            4 => self.array::<4>()?.into(),
            6 => self.array::<16>()?.into(),
            _ => return Err(Malformed("an address of neither family")),
        };
        let address = SocketAddr::new(ip, self.u16()?);
        if address.port() == 0 || ip.is_unspecified() || ip.is_multicast() {
            return Err(Malformed("an address at which no node can be"));
        }
        Ok(Id {
            generation,
            address,
        })
    }

    pub(super) fn digest(&mut self) -> Read<Vec<Known>> {
        let count = usize::from(self.u16()?);
        if count > MAX_NODES {
            return Err(Malformed("too many nodes"));
        }
        // No capacity is reserved, since the count is not verified.
        let mut known = Vec::new();
        for _ in 0..count {
            let id = self.id()?;
            let heartbeat = self.u64()?;
            no_removals(self.u64()?)?;
            let version = self.u64()?;
            known.push(Known {
                id,
                heartbeat,
                version,
            });
        }
        Ok(known)
    }

    /// A delta: operations in a stream of blocks, some of which are packed by zstd.
    pub(super) fn delta(&mut self) -> Read<Vec<News>> {
        let mut unpacked = Vec::new();
        let mut block = Vec::new();
        loop {
            match self.u8()? {
                0 => break,
                1 => {
                    let length = self.u16()?.into();
                    let packed = self.take(length)?;
                    block.resize(MAX_BLOCK, 0);
                    let size = zstd::bulk::decompress_to_buffer(packed, &mut block[..])
                        .map_err(|_| Malformed("a block that cannot be unpacked"))?;
                    unpacked.extend_from_slice(&block[..size]);
                }
                2 => {
                    let length = self.u16()?.into();
                    unpacked.extend_from_slice(self.take(length)?);
                }
                _ => return Err(Malformed("no such kind of block")),
            }
            if unpacked.len() > MAX_UNPACKED {
                return Err(Malformed("too much news"));
            }
        }
        Reader(&unpacked).operations()
    }

    fn operations(&mut self) -> Read<Vec<News>> {
        let mut all: Vec<News> = Vec::new();
        let mut seen = HashSet::new();
        while !self.0.is_empty() {
            let operation = self.u8()?;
            if operation == 0 {
                let id = self.id()?;
                no_removals(self.u64()?)?;
                let after = self.u64()?;
                if all.len() == MAX_NODES || !seen.insert(id) {
                    return Err(Malformed("too many nodes, or one twice"));
                }
                all.push(News {
                    id,
                    after,
                    values: Vec::new(),
                    upto: 0,
                });
                continue;
            }
            let news = all
                .last_mut()
                .ok_or(Malformed("a value that belongs to no node"))?;
            match operation {
                1 => {
                    let (key, value) = (self.text()?, self.text()?);
                    let version = self.u64()?;
                    no_removals(self.u8()?.into())?;
                    if version <= news.upto {
                        return Err(Malformed("versions that do not grow"));
                    }
                    news.upto = version;
                    // Values that a later release may add are ignored.
                    if let Some(key) = Key::of(key).filter(|key| value.len() <= key.max_len()) {
                        news.values.push(Value {
                            key,
                            value: value.to_owned(),
                            version,
                        });
                    }
                }
                // A version without values, which only a node that removes values would send.
                2 => drop(self.u64()?),
                _ => return Err(Malformed("no such operation")),
            }
        }
        Ok(all)
    }
}

/// Nodes remove no values, so a version of removals or a removed value does not come from a Gaggle
/// node.
fn no_removals(marker: u64) -> Read<()> {
    if marker == 0 {
        Ok(())
    } else {
        Err(Malformed("a removed value"))
    }
}
