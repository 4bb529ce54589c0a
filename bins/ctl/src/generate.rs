//! `gagglectl completions` and `gagglectl man`: what a shell and `man` need, generated from the
//! command line's definition, so that neither can differ from it.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::{Cli, ManArgs};
use crate::outcome::{Failure, Outcome};
use crate::output::{self, shown};

/// Prints the script that completes this program's command line in a shell.
pub(crate) fn completions(shell: Shell) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gagglectl", &mut script);
    output::answer(&script)?;
    Ok(Outcome::Complete)
}

/// Prints the program's own page, or writes it and the page of each command into a directory.
pub(crate) fn man(args: &ManArgs) -> Result<Outcome, Failure> {
    match &args.dir {
        Some(dir) => write(dir).map_err(|error| {
            let dir = shown(dir.as_os_str().as_encoded_bytes());
            Failure::Usage(format!("{dir}: {error}"))
        })?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output::answer(&page)?;
        }
    }
    Ok(Outcome::Complete)
}

fn write(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)
}
