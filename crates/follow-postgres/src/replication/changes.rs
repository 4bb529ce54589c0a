//! From changes of rows to changes of keys.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use gaggle_follow::Change;

use super::text::At;
use crate::PostgresError;
use crate::lsn::Lsn;
use crate::options::Table;
use crate::pgoutput::{Cell, Column, Logical, Relation, Tuple};
use crate::template::Part;

/// The first type number that is not built in, and so can be a domain.
const FIRST_OWN_TYPE: u32 = 16_384;

/// The number of unfollowed tables that warnings name.
const MOST_WARNINGS: usize = 32;

/// A followed table, and its number in the server when the stream began.
#[derive(Debug, Clone)]
pub(super) struct Followed {
    pub(super) table: Table,
    pub(super) oid: u32,
    /// The types of its columns that are not the server's own, each with the type that its values
    /// are written as: a domain with its base type, any other with itself.
    pub(super) types: HashMap<u32, u32>,
}

/// Knows the tables, and their shapes at this place of the stream.
pub(super) struct Translator {
    followed: Vec<Followed>,
    /// Changes that were committed before here are older than the check of the tables. If they do
    /// not fit the options, that has been fixed since, and must not stop the stream.
    accepted: Lsn,
    /// By the server's number. Only tables that are followed are in it. There is no shape if the
    /// table did not fit the options at that time.
    shapes: HashMap<u32, Option<Shape>>,
    warned: HashSet<u32>,
}

/// The places of a table's key columns and its payload.
struct Shape {
    key: Vec<Piece>,
    payload: Option<At>,
    columns: usize,
}

enum Piece {
    Text(String),
    Column(At),
}

/// The result of making a row's key.
enum KeyOf {
    Key(Bytes),
    /// A column of it is `NULL`: such a key is never requested.
    None,
    /// A column of it was not sent.
    Unknown,
}

impl Translator {
    pub(super) fn new(followed: Vec<Followed>, accepted: Lsn) -> Self {
        Self {
            followed,
            accepted,
            shapes: HashMap::new(),
            warned: HashSet::new(),
        }
    }

    pub(super) fn is_followed(&self, relation: u32) -> bool {
        self.shapes.contains_key(&relation)
    }

    /// Adds the changes of this message, from a transaction that was committed at this place.
    pub(super) fn apply(
        &mut self,
        message: Logical<'_>,
        commit: Lsn,
        add: &mut impl FnMut(Change),
    ) -> Result<(), PostgresError> {
        match message {
            Logical::Relation(relation) => self.meet(&relation, commit, add)?,
            Logical::Truncate { relations } => {
                if relations.iter().any(|id| self.is_followed(*id)) {
                    add(Change::All);
                }
            }
            Logical::Insert { relation, new } => {
                if let Some(shape) = self.shape(relation, add) {
                    shape.check(&new)?;
                    shape.add_new(&new, None, add);
                }
            }
            Logical::Update { relation, old, new } => {
                if let Some(shape) = self.shape(relation, add) {
                    shape.check(&new)?;
                    if let Some(old) = &old {
                        shape.check(old)?;
                        shape.add_old(old, Some(&new), add);
                    }
                    shape.add_new(&new, old.as_ref(), add);
                }
            }
            Logical::Delete { relation, old } => {
                if let Some(shape) = self.shape(relation, add) {
                    shape.check(&old)?;
                    shape.add_old(&old, None, add);
                }
            }
            Logical::Begin { .. } | Logical::Commit { .. } | Logical::Other => {}
        }
        Ok(())
    }

    /// The shape of a table that is followed. A change of a table that does not fit counts as a
    /// change of everything.
    fn shape(&self, relation: u32, add: &mut impl FnMut(Change)) -> Option<&Shape> {
        let shape = self.shapes.get(&relation)?;
        if shape.is_none() {
            add(Change::All);
        }
        shape.as_ref()
    }

    /// Records the shape of a table.
    fn meet(
        &mut self,
        relation: &Relation,
        commit: Lsn,
        add: &mut impl FnMut(Change),
    ) -> Result<(), PostgresError> {
        let by_name = self.followed.iter_mut().find(|followed| {
            followed.table.name.schema == relation.schema
                && followed.table.name.table == relation.table
        });
        let shape = if let Some(followed) = by_name {
            if followed.oid != relation.id {
                // Another table has taken the name. The rows of the old one are not reported.
                followed.oid = relation.id;
                add(Change::All);
            }
            Shape::of(followed, &relation.columns)
        } else if let Some(was) = self.followed.iter().find(|f| f.oid == relation.id) {
            Err(format!(
                "the table {} is called {}.{} now",
                was.table.name, relation.schema, relation.table
            ))
        } else {
            self.ignore(relation);
            return Ok(());
        };
        let shape = match shape {
            Ok(shape) => Some(shape),
            Err(problem) if commit < self.accepted => {
                self.warn_once(relation, &problem);
                add(Change::All);
                None
            }
            Err(problem) => return Err(PostgresError::changed(commit, problem)),
        };
        self.shapes.insert(relation.id, shape);
        Ok(())
    }

    fn warn_once(&self, relation: &Relation, problem: &str) {
        if !matches!(self.shapes.get(&relation.id), Some(None)) {
            tracing::warn!(
                table = format!("{}.{}", relation.schema, relation.table),
                problem,
                "a table did not fit the options for a time, and does now; each of its changes of that \
                 time counts as a change of everything"
            );
        }
    }

    fn ignore(&mut self, relation: &Relation) {
        // It may have had the name of a table that is followed.
        self.shapes.remove(&relation.id);
        if self.warned.len() < MOST_WARNINGS && self.warned.insert(relation.id) {
            tracing::warn!(
                table = format!("{}.{}", relation.schema, relation.table),
                "a table of the publication is not among those that are followed; its changes are ignored"
            );
        }
    }
}

impl Shape {
    fn of(followed: &Followed, columns: &[Column]) -> Result<Self, String> {
        let table = &followed.table;
        let at = |(index, column): (usize, &Column)| {
            let known = followed.types.get(&column.kind).copied();
            let kind = match known {
                Some(kind) => kind,
                None if column.kind < FIRST_OWN_TYPE => column.kind,
                // It can be a domain. Which one is looked up when the feed is opened.
                None => {
                    return Err(format!(
                        "the column {:?} of {} has another type now",
                        column.name, table.name
                    ));
                }
            };
            Ok(At { index, kind })
        };
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
                    Piece::Column(at((index, column))?)
                }
            });
        }
        let payload = table.payload.as_deref().map(find).transpose()?;
        Ok(Self {
            key,
            payload: payload.map(at).transpose()?,
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

    /// The key of a row. If a long column was not sent because it did not change, `other` has it.
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
                    Some(Cell::Text(text)) => Some(at.value(text)),
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

/// The table's replica identity lacks a column of the key.
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
