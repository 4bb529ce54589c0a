//! What a page shows: files, and commands with their output.

/// A command, and what it is shown to print.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) output: Vec<String>,
}

/// The files and commands of a page.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    pub(crate) files: Vec<(String, String)>,
    pub(crate) commands: Vec<Command>,
}

/// Whether a page may show the command without a test that runs it: it builds the repository, or
/// needs a Docker engine.
fn is_for_the_reader(text: &str) -> bool {
    text.starts_with("cargo ") || text.starts_with("docker ")
}

impl Transcript {
    pub(crate) fn read(page: &str) -> Self {
        let mut transcript = Self::default();
        let mut block: Option<(String, Vec<(usize, &str)>)> = None;
        for (number, line) in page.lines().enumerate() {
            match &mut block {
                None => {
                    if let Some(language) = line.strip_prefix("```") {
                        block = Some((language.to_owned(), Vec::new()));
                    }
                }
                Some((language, lines)) if line == "```" => {
                    match language.as_str() {
                        "console" => transcript.add_commands(lines),
                        "toml" => transcript.add_file(lines),
                        _ => {}
                    }
                    block = None;
                }
                Some((_, lines)) => lines.push((number + 1, line)),
            }
        }
        transcript
    }

    fn add_commands(&mut self, lines: &[(usize, &str)]) {
        let mut lines = lines.iter().copied().peekable();
        while let Some((line, text)) = lines.next() {
            let text = text.strip_prefix("$ ");
            let mut text = text
                .unwrap_or_else(|| panic!("line {line} is no command"))
                .to_owned();
            while text.ends_with('\\') {
                let (_, more) = lines.next().expect("a line behind the backslash");
                text.push('\n');
                text.push_str(more);
            }
            let mut output = Vec::new();
            while let Some((_, more)) = lines.next_if(|(_, more)| !more.starts_with("$ ")) {
                output.push(more.to_owned());
            }
            if !is_for_the_reader(&text) {
                self.commands.push(Command { line, text, output });
            }
        }
    }

    fn add_file(&mut self, lines: &[(usize, &str)]) {
        let name = lines.first().and_then(|(_, line)| line.strip_prefix("# "));
        let Some(name) = name.filter(|name| name.ends_with(".toml") && !name.contains(' ')) else {
            return;
        };
        let text: Vec<&str> = lines.iter().map(|(_, line)| *line).collect();
        self.files.push((name.to_owned(), text.join("\n") + "\n"));
    }
}

impl Command {
    /// Whether that is what is shown.
    pub(crate) fn matches(&self, printed: &str) -> bool {
        let printed: Vec<&str> = printed.lines().collect();
        let shown: Vec<&str> = self.output.iter().map(String::as_str).collect();
        lines_match(&shown, &printed)
    }
}

fn lines_match(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => (0..=printed.len()).any(|at| lines_match(rest, &printed[at..])),
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, more)| line_matches(line, first) && lines_match(rest, more)),
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
