//! Where each value comes from: the file, then the environment, then the flags, each of which
//! overrides the ones before.
//!
//! All three end in one TOML table, which is then read as a [`Config`]. Not with figment: it keeps
//! no lines of a file, guesses the type of a variable from its text (a cluster named `12` would be
//! a number) instead of using the field's type, and treats `_` and `-` in the name of a group as
//! different characters.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::found::Found;
use super::{Config, ConfigError, discovery, environment, follow, origin, tracing};
use crate::cli::Overrides;

/// The names of a field and of the tables around it, outermost first.
pub(super) type Path = Vec<String>;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the file, on that line.
    File { name: String, line: usize },
    /// By an environment variable of that name.
    Environment(String),
    /// By a flag of that name.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// The sources of a configuration. Reading them opens nothing.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// The file's name, for messages, and its text.
    pub(crate) file: Option<(String, String)>,
    /// The environment's variables. Only those that name a field matter.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) flags: Overrides,
}

/// Where the values of a configuration were set. Values that are not in it are defaults.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    set: BTreeMap<Path, Source>,
}

impl Sources {
    pub(super) fn of(&self, path: &[String]) -> Option<&Source> {
        self.set.get(path)
    }

    /// The error, with the source of the value that it is about.
    pub(crate) fn explain(&self, failure: ConfigError) -> ConfigError {
        match self.of_field(&failure.field) {
            Some(source) => failure.set_by(source),
            None => failure,
        }
    }

    fn of_field(&self, field: &str) -> Option<&Source> {
        // A member of a list is set with the list.
        let field = field.split('[').next().unwrap_or(field);
        let exact = self.set.iter().find(|(path, _)| path.join(".") == field);
        let below = || {
            let mut below = self.set.iter().filter(|(path, _)| {
                let path = path.join(".");
                path.strip_prefix(field)
                    .is_some_and(|rest| rest.starts_with('.'))
            });
            // If there are several, it may be any of them.
            below.next().filter(|_| below.next().is_none())
        };
        exact.or_else(below).map(|(_, source)| source)
    }
}

/// The combined values, and where each was set.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) table: Table,
    pub(super) sources: Sources,
}

impl Layers {
    /// # Errors
    ///
    /// If the file is no TOML, or a variable names no field.
    pub(super) fn of(given: &Given) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        if let Some((name, text)) = &given.file {
            layers.lay_file(name, text)?;
        }
        environment::lay(&mut layers, &given.environment)?;
        for flag in given.flags.given() {
            let value = environment::listed(flag.value).map_err(|problem| {
                let field = flag.path.join(".");
                ConfigError::new(field, problem).set_by(&flag.source)
            })?;
            layers.set(&flag.path, value, flag.source);
        }
        tracing::lay_below(&mut layers, &given.environment)?;
        Ok(layers)
    }

    fn lay_file(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let spanned = DeTable::parse(text).map_err(|failure| syntax_error(text, &failure))?;
        self.table = toml::from_str(text).map_err(|failure| no_values(text, &failure))?;
        let mut found = Vec::new();
        leaves(spanned.get_ref(), &mut Vec::new(), &mut found);
        for (path, at) in found {
            let line = line_of(text, at);
            let name = name.to_owned();
            self.sources.set.insert(path, Source::File { name, line });
        }
        Ok(())
    }

    /// Sets a value, replacing an earlier one. A value in the place of a table is replaced, so
    /// that the error is about its field.
    pub(super) fn set(&mut self, path: &[String], value: Value, source: Source) {
        let Some((last, tables)) = path.split_last() else {
            return;
        };
        let mut table = &mut self.table;
        for name in tables {
            let inner = table
                .entry(name.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            if !inner.is_table() {
                *inner = Value::Table(Table::new());
            }
            let Value::Table(inner) = inner else { return };
            table = inner;
        }
        table.insert(last.clone(), value);
        self.sources.set.retain(|set, _| !set.starts_with(path));
        self.sources.set.insert(path.to_vec(), source);
    }

    /// Resets a field to its default, whichever source set it.
    pub(super) fn unset(&mut self, path: &[impl AsRef<str>]) {
        let Some((last, tables)) = path.split_last() else {
            return;
        };
        let mut table = &mut self.table;
        for name in tables {
            let Some(Value::Table(inner)) = table.get_mut(name.as_ref()) else {
                return;
            };
            table = inner;
        }
        table.remove(last.as_ref());
        let path: Path = path.iter().map(|name| name.as_ref().to_owned()).collect();
        self.sources.set.retain(|set, _| !set.starts_with(&path));
    }

    /// The same, if the file has set it.
    pub(super) fn unset_in_file(&mut self, path: &[String]) {
        let of_file =
            |(set, source): (&Path, &Source)| set == path && matches!(source, Source::File { .. });
        if self.sources.set.iter().any(of_file) {
            self.unset(path);
        }
    }

    /// The configuration that the layers make, not validated.
    pub(super) fn read(&self) -> Result<Config, ConfigError> {
        read_at(&[], self.table.clone()).map_err(|failure| {
            let Problem { path, told } = self.inside(&failure.path).unwrap_or(failure);
            let field = match field_of(&path) {
                field if field.is_empty() => "the file".to_owned(),
                field => field,
            };
            self.sources.explain(ConfigError::new(field, told))
        })
    }

    /// Like [`read`](Self::read), but only for the fields that are needed to ask the node, so that
    /// other fields may be invalid.
    pub(super) fn read_for_asking(&self) -> Result<Config, ConfigError> {
        let mut needed = Table::new();
        if let Some(security) = self.table.get("security") {
            needed.insert("security".into(), security.clone());
        }
        if let Some(Value::Table(node)) = self.table.get("node") {
            let fields = ["admin-addr", "advertise", "name"].into_iter();
            let node: Table = fields
                .filter_map(|field| Some((field.to_owned(), node.get(field)?.clone())))
                .collect();
            needed.insert("node".into(), Value::Table(node));
        }
        let needed = Self {
            table: needed,
            sources: self.sources.clone(),
        };
        needed.read()
    }

    /// The error within a table whose `kind` determines its fields: the path ends at such a table.
    fn inside(&self, path: &[String]) -> Option<Problem> {
        let mut table = &self.table;
        for name in path {
            table = table.get(name)?.as_table()?;
        }
        let mut fields = table.clone();
        let kind = fields.remove("kind")?;
        match (path.last()?.as_str(), kind.as_str()?) {
            ("origin", "http") => problem_of::<origin::Http>(path, fields),
            ("origin", "sqlite") => problem_of::<origin::Sqlite>(path, fields),
            ("origin", "postgres" | "mysql") => problem_of::<origin::Server>(path, fields),
            ("origin", "object") => problem_of::<origin::Object>(path, fields),
            ("origin", "files") => problem_of::<origin::Files>(path, fields),
            ("follow", "postgres") => problem_of::<follow::Replication>(path, fields),
            ("follow", "postgres-notify") => problem_of::<follow::Notify>(path, fields),
            ("follow", "files") => problem_of::<follow::Watch>(path, fields),
            ("discovery", "dns") => problem_of::<discovery::Dns>(path, fields),
            ("discovery", "gossip") => problem_of::<discovery::Gossip>(path, fields),
            ("discovery", "file") => problem_of::<discovery::FileList>(path, fields),
            _ => None,
        }
    }
}

/// What is wrong with a value, and where it is.
struct Problem {
    path: Path,
    told: String,
}

fn problem_of<T: DeserializeOwned>(path: &[String], fields: Table) -> Option<Problem> {
    read_at::<T>(path, fields).err()
}

/// Reads the table at that path.
fn read_at<T: DeserializeOwned>(path: &[String], fields: Table) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Found(Value::Table(fields))).map_err(|failure| {
        let inner = failure.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("[{index}]")),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        });
        let path: Path = path.iter().cloned().chain(inner).collect();
        let told = failure.into_inner().message(&path);
        Problem { path, told }
    })
}

/// The name of a field, such as `groups.a.origin.fallbacks[0]`.
fn field_of(path: &[String]) -> String {
    path.join(".").replace(".[", "[")
}

/// The values of a table that are not tables, each with the offset of its name.
fn leaves(table: &DeTable<'_>, path: &mut Path, found: &mut Vec<(Path, usize)>) {
    for (name, value) in table {
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => leaves(inner, path, found),
            _ => found.push((path.clone(), name.span().start)),
        }
        path.pop();
    }
}

/// The line of an offset, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    1 + before.matches('\n').count()
}

/// What is wrong with a value of a text that is TOML otherwise. The parser's own message quotes
/// the value.
pub(super) const OUT_OF_RANGE: &str = "a number is out of range; expected one of 64 bits";

fn no_values(text: &str, failure: &toml::de::Error) -> ConfigError {
    let line = failure.span().map_or(1, |span| line_of(text, span.start));
    ConfigError::new(format!("line {line}"), OUT_OF_RANGE)
}

/// A file that is not TOML has no fields yet, so the error has only the line. (Two tables of one
/// name end here, too.)
fn syntax_error(text: &str, failure: &toml::de::Error) -> ConfigError {
    let line = failure.span().map_or(1, |span| line_of(text, span.start));
    // Only a name is quoted: a value may be a secret.
    let named = failure
        .span()
        .filter(|_| failure.message().contains("duplicate"))
        .and_then(|span| text.get(span))
        .filter(|named| !named.is_empty() && named.len() <= 80 && !named.contains('='))
        .map_or_else(String::new, |named| format!(" at `{named}`"));
    ConfigError::new(
        format!("line {line}"),
        format!("{}{named}", failure.message()),
    )
}
