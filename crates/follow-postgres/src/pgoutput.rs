//! What the plugin `pgoutput` sends, protocol version 1
//! (<https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html>).

use crate::PostgresError;
use crate::lsn::Lsn;

/// One message of the replication stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Streamed<'a> {
    /// A part of the log.
    Data {
        /// The end of the log that the server has sent.
        end: Lsn,
        /// When, in microseconds since 2000, by the server's clock.
        sent: i64,
        data: &'a [u8],
    },
    /// A keepalive message.
    Keepalive {
        /// The end of the log that the server has read for this feed.
        end: Lsn,
        reply: bool,
    },
}

/// One message of `pgoutput`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Logical<'a> {
    Begin {
        /// Where in the log it was committed.
        commit: Lsn,
        /// In microseconds since 2000.
        committed: i64,
        /// The lower half of its transaction number.
        transaction: u32,
    },
    Commit {
        /// Where the next transaction can begin.
        end: Lsn,
    },
    Relation(Relation),
    Insert {
        relation: u32,
        new: Tuple<'a>,
    },
    Update {
        relation: u32,
        old: Option<Tuple<'a>>,
        new: Tuple<'a>,
    },
    Delete {
        relation: u32,
        old: Tuple<'a>,
    },
    Truncate {
        relations: Vec<u32>,
    },
    /// A type, an origin: nothing that changes a row.
    Other,
}

/// The shape of a table from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) id: u32,
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: u32,
    /// Whether the old row includes it.
    pub(crate) is_identity: bool,
}

/// A row: one cell for each column of its table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tuple<'a>(pub(crate) Vec<Cell<'a>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Null,
    /// A long value that this update did not change, and that is therefore not sent.
    Unchanged,
    Text(&'a [u8]),
}

impl<'a> Streamed<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Result<Self, PostgresError> {
        let mut from = Reader(message);
        match from.u8()? {
            b'w' => {
                from.u64()?;
                Ok(Self::Data {
                    end: Lsn(from.u64()?),
                    sent: from.i64()?,
                    data: from.0,
                })
            }
            b'k' => {
                let end = Lsn(from.u64()?);
                from.i64()?;
                Ok(Self::Keepalive {
                    end,
                    reply: from.u8()? != 0,
                })
            }
            other => Err(unknown("replication message", other)),
        }
    }
}

/// The table whose row a message is about, from its beginning.
pub(crate) fn table_of_row(data: &[u8]) -> Result<Option<u32>, PostgresError> {
    let mut from = Reader(data);
    match from.u8()? {
        b'I' | b'U' | b'D' => from.u32().map(Some),
        _ => Ok(None),
    }
}

impl<'a> Logical<'a> {
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, PostgresError> {
        let mut from = Reader(data);
        Ok(match from.u8()? {
            b'B' => Self::Begin {
                commit: Lsn(from.u64()?),
                committed: from.i64()?,
                transaction: from.u32()?,
            },
            b'C' => {
                from.u8()?;
                from.u64()?;
                Self::Commit {
                    end: Lsn(from.u64()?),
                }
            }
            b'R' => Self::Relation(from.relation()?),
            b'I' => {
                let relation = from.u32()?;
                from.expect(b'N')?;
                Self::Insert {
                    relation,
                    new: from.tuple()?,
                }
            }
            b'U' => {
                let relation = from.u32()?;
                let mut kind = from.u8()?;
                let mut old = None;
                if matches!(kind, b'K' | b'O') {
                    old = Some(from.tuple()?);
                    kind = from.u8()?;
                }
                if kind != b'N' {
                    return Err(unknown("row", kind));
                }
                Self::Update {
                    relation,
                    old,
                    new: from.tuple()?,
                }
            }
            b'D' => {
                let relation = from.u32()?;
                let kind = from.u8()?;
                if !matches!(kind, b'K' | b'O') {
                    return Err(unknown("row", kind));
                }
                Self::Delete {
                    relation,
                    old: from.tuple()?,
                }
            }
            b'T' => {
                let count = from.u32()?;
                from.u8()?;
                // The list grows with the data that is there, not with the announced count.
                let relations = (0..count).map(|_| from.u32());
                Self::Truncate {
                    relations: relations.collect::<Result<_, _>>()?,
                }
            }
            b'Y' | b'O' | b'M' => Self::Other,
            other => return Err(unknown("change", other)),
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], PostgresError> {
        let split = self.0.split_at_checked(length);
        let (taken, rest) = split.ok_or_else(|| PostgresError::protocol("a change cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PostgresError> {
        let taken = self.take(N)?.first_chunk().copied();
        taken.ok_or_else(|| PostgresError::protocol("a change cut short"))
    }

    fn u8(&mut self) -> Result<u8, PostgresError> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, PostgresError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, PostgresError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, PostgresError> {
        self.array().map(u64::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, PostgresError> {
        self.array().map(i64::from_be_bytes)
    }

    fn expect(&mut self, kind: u8) -> Result<(), PostgresError> {
        match self.u8()? {
            found if found == kind => Ok(()),
            other => Err(unknown("row", other)),
        }
    }

    fn text(&mut self) -> Result<String, PostgresError> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| PostgresError::protocol("a name without an end"))?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn relation(&mut self) -> Result<Relation, PostgresError> {
        let id = self.u32()?;
        // An empty name stands for `pg_catalog`.
        let schema = match self.text()? {
            empty if empty.is_empty() => "pg_catalog".to_owned(),
            schema => schema,
        };
        let table = self.text()?;
        // The kind of identity; each column has a flag for whether it is part of it.
        self.u8()?;
        let mut columns = Vec::new();
        for _ in 0..self.u16()? {
            let is_identity = self.u8()? & 1 != 0;
            let name = self.text()?;
            let kind = self.u32()?;
            self.u32()?;
            columns.push(Column {
                name,
                kind,
                is_identity,
            });
        }
        Ok(Relation {
            id,
            schema,
            table,
            columns,
        })
    }

    fn tuple(&mut self) -> Result<Tuple<'a>, PostgresError> {
        let mut cells = Vec::new();
        for _ in 0..self.u16()? {
            cells.push(match self.u8()? {
                b'n' => Cell::Null,
                b'u' => Cell::Unchanged,
                b't' => {
                    let length = usize::try_from(self.u32()?);
                    let length = length.map_err(|_| PostgresError::protocol("a long value"))?;
                    Cell::Text(self.take(length)?)
                }
                other => return Err(unknown("value", other)),
            });
        }
        Ok(Tuple(cells))
    }
}

fn unknown(what: &str, tag: u8) -> PostgresError {
    PostgresError::protocol(format!("a {what} of an unknown kind, {tag:#04x}"))
}

#[cfg(test)]
mod tests;
