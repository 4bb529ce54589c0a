use std::path::PathBuf;

use gaggle_benches::hit_ratio::Column;

const USAGE: &str = "[pairs] [sizes] [shift] [small] [long] [--only COLUMN,COLUMN] [--millions N] | write | plot FILE.svg";

/// What is asked for on the command line.
pub(crate) struct Arguments {
    pub(crate) task: Task,
    /// In the order of the page.
    pub(crate) sections: Vec<Section>,
    only: Option<Vec<Column>>,
    /// The gets of `long`.
    pub(crate) millions: u32,
}

pub(crate) enum Task {
    /// The sections, to standard output.
    Print,
    /// All sections, to the committed table.
    Write,
    /// The committed table as a plot, to this file.
    Plot(PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Pairs,
    Sizes,
    Shift,
    Small,
    Long,
}

const SECTIONS: [(&str, Section); 5] = [
    ("pairs", Section::Pairs),
    ("sizes", Section::Sizes),
    ("shift", Section::Shift),
    ("small", Section::Small),
    ("long", Section::Long),
];

impl Arguments {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = words;
        let mut arguments = Self {
            task: Task::Print,
            sections: Vec::new(),
            only: None,
            millions: 30,
        };
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or(format!("{word} lacks its value: {USAGE}"))
            };
            match &*word {
                "write" => arguments.task = Task::Write,
                "plot" => arguments.task = Task::Plot(value()?.into()),
                "--only" => arguments.only = Some(columns(&value()?)?),
                "--millions" => arguments.millions = number(&value()?)?,
                other => arguments.sections.push(section(other)?),
            }
        }
        arguments.check()
    }

    fn check(mut self) -> Result<Self, String> {
        let partial = !self.sections.is_empty() || self.only.is_some();
        if partial && !matches!(self.task, Task::Print) {
            return Err(format!(
                "write and plot are of all columns and sections: {USAGE}"
            ));
        }
        if self.sections.is_empty() {
            self.sections = SECTIONS.iter().map(|&(_, section)| section).collect();
        }
        Ok(self)
    }

    /// Those of a section that are asked for.
    pub(crate) fn of<const N: usize>(&self, columns: [Column; N]) -> Vec<Column> {
        let wanted = |column: &Column| {
            let only = self.only.as_ref();
            only.is_none_or(|only| only.contains(column))
        };
        columns.into_iter().filter(wanted).collect()
    }
}

fn section(name: &str) -> Result<Section, String> {
    let found = SECTIONS.iter().find(|&&(section, _)| section == name);
    found
        .map(|&(_, section)| section)
        .ok_or_else(|| format!("there is no section {name}: {USAGE}"))
}

fn columns(names: &str) -> Result<Vec<Column>, String> {
    let column =
        |name: &str| Column::of_name(name).ok_or_else(|| format!("there is no column {name}"));
    names.split(',').map(column).collect()
}

fn number(word: &str) -> Result<u32, String> {
    word.parse()
        .ok()
        .filter(|&millions| millions >= 4)
        .ok_or_else(|| format!("--millions is a number of at least 4: {USAGE}"))
}
