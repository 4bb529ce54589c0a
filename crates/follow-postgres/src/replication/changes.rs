//! From changes of rows to changes of keys.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use gaggle_follow::Change;

use crate::PostgresError;
use crate::lsn::Lsn;
use crate::options::Table;
use crate::pgoutput::{Cell, Column, Logical, Relation, Tuple};
use crate::template::Part;

/// The types whose text form is not what a key or a value should be.
const BYTEA: u32 = 17;
const BPCHAR: u32 = 1042;

/// So many tables that are not followed are warned of by name.
const MOST_WARNINGS: usize = 32;

/// A table that is followed, and the number by which the server knew it when the stream began.
#[derive(Debug, Clone)]
pub(super) struct Followed {
    pub(super) table: Table,
    pub(super) oid: u32,
}

/// Knows the tables, and what they look like at this place of the stream.
pub(super) struct Translator {
    followed: Vec<Followed>,
    /// By the server's number. Only tables that are followed are in it.
    shapes: HashMap<u32, Shape>,
    warned: HashSet<u32>,
}

/// Where the columns of a table's key and its payload stand.
struct Shape {
    key: Vec<Piece>,
    payload: Option<At>,
    columns: usize,
}

enum Piece {
    Text(String),
    Column(At),
}

#[derive(Debug, Clone, Copy)]
struct At {
    index: usize,
    kind: u32,
}

/// What became of a row's key.
enum KeyOf {
    Key(Bytes),
    /// A column of it is `NULL`: no such key is ever asked for.
    None,
    /// A column of it was not sent.
    Unknown,
}

impl Translator {
    pub(super) fn new(followed: Vec<Followed>) -> Self {
        Self {
            followed,
            shapes: HashMap::new(),
            warned: HashSet::new(),
        }
    }

    pub(super) fn is_followed(&self, relation: u32) -> bool {
        self.shapes.contains_key(&relation)
    }

    /// Adds what follows from this message.
    pub(super) fn apply(
        &mut self,
        message: Logical<'_>,
        at: Lsn,
        add: &mut impl FnMut(Change),
    ) -> Result<(), PostgresError> {
        match message {
            Logical::Relation(relation) => self.meet(&relation, at, add)?,
            Logical::Truncate { relations } => {
                if relations.iter().any(|id| self.is_followed(*id)) {
                    add(Change::All);
                }
            }
            Logical::Insert { relation, new } => {
                if let Some(shape) = self.shapes.get(&relation) {
                    shape.check(&new)?;
                    shape.add_new(&new, None, add);
                }
            }
            Logical::Update { relation, old, new } => {
                if let Some(shape) = self.shapes.get(&relation) {
                    shape.check(&new)?;
                    if let Some(old) = &old {
                        shape.check(old)?;
                        shape.add_old(old, Some(&new), add);
                    }
                    shape.add_new(&new, old.as_ref(), add);
                }
            }
            Logical::Delete { relation, old } => {
                if let Some(shape) = self.shapes.get(&relation) {
                    shape.check(&old)?;
                    shape.add_old(&old, None, add);
                }
            }
            Logical::Begin { .. } | Logical::Commit { .. } | Logical::Other => {}
        }
        Ok(())
    }

    /// Takes up what a table looks like.
    fn meet(
        &mut self,
        relation: &Relation,
        at: Lsn,
        add: &mut impl FnMut(Change),
    ) -> Result<(), PostgresError> {
        let by_name = self.followed.iter_mut().find(|followed| {
            followed.table.name.schema == relation.schema
                && followed.table.name.table == relation.table
        });
        let Some(followed) = by_name else {
            let was = self.followed.iter().find(|f| f.oid == relation.id);
            if let Some(was) = was {
                return Err(PostgresError::changed(
                    at,
                    format!(
                        "the table {} is called {}.{} now",
                        was.table.name, relation.schema, relation.table
                    ),
                ));
            }
            if self.warned.len() < MOST_WARNINGS && self.warned.insert(relation.id) {
                tracing::warn!(
                    table = format!("{}.{}", relation.schema, relation.table),
                    "a table of the publication is not among those that are followed; its changes are ignored"
                );
            }
            return Ok(());
        };
        let shape = Shape::of(&followed.table, &relation.columns)
            .map_err(|problem| PostgresError::changed(at, problem))?;
        if followed.oid != relation.id {
            // Another table has taken the name. What the old one had is not told.
            followed.oid = relation.id;
            add(Change::All);
        }
        self.shapes.insert(relation.id, shape);
        Ok(())
    }
}

impl Shape {
    fn of(table: &Table, columns: &[Column]) -> Result<Self, String> {
        let find = |name: &str| {
            let found = columns.iter().enumerate().find(|(_, c)| c.name == name);
            found.ok_or_else(|| {
                format!(
                    "the table {} has no column {name:?}, or the publication leaves it out",
                    table.name
                )
            })
        };
        let mut key = Vec::new();
        for part in table.key.parts() {
            key.push(match part {
                Part::Text(text) => Piece::Text(text.clone()),
                Part::Column(name) => {
                    let (index, column) = find(name)?;
                    if !column.is_identity {
                        return Err(not_identified(table, name));
                    }
                    let kind = column.kind;
                    Piece::Column(At { index, kind })
                }
            });
        }
        let payload = table.payload.as_deref().map(find).transpose()?;
        Ok(Self {
            key,
            payload: payload.map(|(index, column)| At {
                index,
                kind: column.kind,
            }),
            columns: columns.len(),
        })
    }

    fn check(&self, row: &Tuple<'_>) -> Result<(), PostgresError> {
        if row.0.len() == self.columns {
            Ok(())
        } else {
            Err(PostgresError::protocol("a row that does not fit its table"))
        }
    }

    /// The key of a row. Where a long column was not sent because it did not change, `other` has
    /// it.
    fn key(&self, row: &Tuple<'_>, other: Option<&Tuple<'_>>) -> KeyOf {
        let mut key = Vec::new();
        for piece in &self.key {
            let at = match piece {
                Piece::Text(text) => {
                    key.extend_from_slice(text.as_bytes());
                    continue;
                }
                Piece::Column(at) => *at,
            };
            let cell = |row: &Tuple<'_>| match row.0.get(at.index) {
                Some(Cell::Text(text)) => Some(at.bytes(text)),
                _ => None,
            };
            match (row.0.get(at.index), other) {
                (Some(Cell::Null), _) => return KeyOf::None,
                (Some(Cell::Unchanged), Some(other)) => match cell(other) {
                    Some(bytes) => key.extend_from_slice(&bytes),
                    None => return KeyOf::Unknown,
                },
                _ => match cell(row) {
                    Some(bytes) => key.extend_from_slice(&bytes),
                    None => return KeyOf::Unknown,
                },
            }
        }
        KeyOf::Key(key.into())
    }

    fn add_new(&self, new: &Tuple<'_>, old: Option<&Tuple<'_>>, add: &mut impl FnMut(Change)) {
        match self.key(new, old) {
            KeyOf::None => {}
            KeyOf::Unknown => add(Change::All),
            KeyOf::Key(key) => {
                let payload = self.payload.and_then(|at| match new.0.get(at.index) {
                    Some(Cell::Text(text)) => Some(at.bytes(text)),
                    _ => None,
                });
                add(match payload {
                    Some(payload) => Change::Put(key, payload.into()),
                    None => Change::Key(key),
                });
            }
        }
    }

    /// The key that a row had, unless it still has it.
    fn add_old(&self, old: &Tuple<'_>, new: Option<&Tuple<'_>>, add: &mut impl FnMut(Change)) {
        match self.key(old, None) {
            KeyOf::None => {}
            KeyOf::Unknown => add(Change::All),
            KeyOf::Key(key) => {
                let new = new.map(|new| self.key(new, Some(old)));
                if !matches!(new, Some(KeyOf::Key(new)) if new == key) {
                    add(Change::Key(key));
                }
            }
        }
    }
}

impl At {
    /// The bytes of a value. A copy, as the text lies in a buffer of its whole row.
    fn bytes(self, text: &[u8]) -> Vec<u8> {
        match self.kind {
            BYTEA => from_hex(text).unwrap_or_else(|| text.to_vec()),
            // Blanks at the end do not count, and `::text` leaves them out.
            BPCHAR => text.trim_ascii_end_blanks().to_vec(),
            _ => text.to_vec(),
        }
    }
}

trait Blanks {
    fn trim_ascii_end_blanks(&self) -> &[u8];
}

impl Blanks for [u8] {
    fn trim_ascii_end_blanks(&self) -> &[u8] {
        let end = self.iter().rposition(|byte| *byte != b' ');
        &self[..end.map_or(0, |last| last + 1)]
    }
}

/// `\x0aff`, as `bytea_output = hex` writes it.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"\\x")?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}

/// The table does not tell what key a row had.
pub(super) fn not_identified(table: &Table, column: &str) -> String {
    format!(
        "the column {column:?} of {name} is not in the table's replica identity, so that an UPDATE \
         or DELETE does not tell which key the row had. Run: ALTER TABLE {sql} REPLICA IDENTITY \
         FULL; or make a unique index of columns that are NOT NULL, with this one among them, and \
         run: ALTER TABLE {sql} REPLICA IDENTITY USING INDEX …;",
        name = table.name,
        sql = table.name.sql(),
    )
}

#[cfg(test)]
mod tests;
