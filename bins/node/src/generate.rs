//! `gaggle-node completions` and `gaggle-node man`: what a shell and `man` need, generated from
//! the command line's definition, so that neither can differ from it.

use std::fs;
use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::{Cli, ManArgs};

/// Prints the script that completes this program's command line in a shell.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gaggle-node", &mut script);
    if shell == Shell::Bash {
        script = labelled_alike(&script);
    }
    print(&script).context("the script cannot be printed")
}

/// Writes the dash of the program's name in one way. The generator writes it in two, so that no
/// label of a command matches and nothing is completed after one
/// (<https://github.com/clap-rs/clap/issues/6421>).
fn labelled_alike(script: &[u8]) -> Vec<u8> {
    let script = String::from_utf8_lossy(script);
    script
        .replace("gaggle__subcmd__node__", "gaggle__node__")
        .into_bytes()
}

/// Prints the program's own page, or writes it and the page of each command into a directory.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<()> {
    if let Some(dir) = &args.dir {
        return fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
            .with_context(|| format!("{}: the pages cannot be written", dir.display()));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .and_then(|()| print(&page))
        .context("the page cannot be printed")
}

fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text)?;
    stdout.flush()
}
