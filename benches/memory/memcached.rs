//! memcached in a process of its own, filled over a Unix socket in its text protocol.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::load::Phase;
use crate::sides::Side;

/// Sets in a row whose success is not reported.
const BATCH: u64 = 1_000;

pub(crate) struct Memcached {
    // Dropped from top to bottom: the folder after the process that uses it.
    process: Process,
    connection: BufReader<UnixStream>,
    _folder: TempDir,
}

impl Memcached {
    /// Starts one with a budget of whole MiB, its settings otherwise as they come.
    pub(crate) fn start(budget: u64) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("socket");
        let mut command = Command::new("memcached");
        // It does not run as root unless told to; for anyone else `-u` means nothing. When it
        // listens it says only if it is to say much.
        command.args(["-u", "root", "-vv", "-m", &(budget >> 20).to_string(), "-s"]);
        command.arg(&socket);
        let mut process = Process(
            command
                .stdin(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?,
        );
        let mut said = BufReader::new(process.0.stderr.take().ok_or_else(ended)?).lines();
        said.by_ref()
            .find(|line| !matches!(line, Ok(line) if !line.contains("server listening")))
            .ok_or_else(ended)??;
        std::thread::spawn(move || said.for_each(drop));
        let mut this = Self {
            connection: BufReader::new(UnixStream::connect(&socket)?),
            process,
            _folder: folder,
        };
        this.send(b"verbosity 0\r\n")?;
        this.lines_until("OK", |_| ())?;
        Ok(this)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connection.get_mut().write_all(bytes)
    }

    /// Reads lines up to one that begins with `last`.
    fn lines_until(&mut self, last: &str, mut line: impl FnMut(&str)) -> io::Result<()> {
        let mut text = String::new();
        loop {
            text.clear();
            if self.connection.read_line(&mut text)? == 0 {
                return Err(ended());
            }
            if text.starts_with(last) {
                return Ok(());
            }
            line(text.trim_end());
        }
    }

    fn try_fill(&mut self, phase: Phase, budget: u64) -> io::Result<u64> {
        let keys = phase.keys(budget);
        let mut refused = 0;
        let mut batch = Vec::new();
        for n in 0..keys {
            let (key, value) = (phase.key(n), phase.value(n));
            write!(batch, "set {key} 0 0 {} noreply\r\n", value.len())?;
            batch.extend_from_slice(&value);
            batch.extend_from_slice(b"\r\n");
            if (n + 1) % BATCH == 0 || n + 1 == keys || batch.len() > 1 << 20 {
                // Answered when all before it is done. What failed is reported in spite of
                // `noreply`.
                batch.extend_from_slice(b"version\r\n");
                self.send(&batch)?;
                batch.clear();
                self.lines_until("VERSION", |_| refused += 1)?;
            }
        }
        Ok(refused)
    }

    fn try_held(&mut self) -> io::Result<(u64, u64)> {
        let (mut entries, mut payload) = (0, 0);
        self.send(b"lru_crawler metadump all\r\n")?;
        self.lines_until("END", |line| {
            let key = line
                .strip_prefix("key=")
                .and_then(|rest| rest.split(' ').next());
            if let Some((phase, n)) = key.and_then(|key| Phase::of(key.as_bytes())) {
                entries += 1;
                payload += phase.payload(n);
            }
        })?;
        Ok((entries, payload))
    }
}

impl Side for Memcached {
    fn fill(&mut self, phase: Phase, budget: u64) {
        let refused = self.try_fill(phase, budget).expect("memcached is gone");
        if refused > 0 {
            eprintln!("memcached refused {refused} values, phase {}", phase.name());
        }
    }

    fn held(&mut self, _: u64) -> (u64, u64) {
        self.try_held().expect("memcached is gone")
    }

    fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// Ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "memcached has ended")
}
