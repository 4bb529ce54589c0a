//! PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use rustix::process::Signal;

use crate::process::{Home, free_port, poll, run};
use crate::user::User;
use crate::{DATABASE, PASSWORD, Tls, USER};

/// The options of a server.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Whether logical replication can read its log (`wal_level = logical`).
    pub wal_level_logical: bool,
    /// The certificate with which it also accepts connections with TLS.
    pub tls: Option<Tls>,
    /// Further settings, as `postgresql.conf` has them: name and value.
    pub settings: Vec<(String, String)>,
}

/// A PostgreSQL server. The user [`USER`] is a superuser, and the
/// database [`DATABASE`] is its own.
#[derive(Debug)]
pub struct Postgres {
    home: Home,
    programs: PathBuf,
    port: AtomicU16,
}

/// How often a start is tried: each time with another port, or after a crash with the same one.
const STARTS: usize = 10;

impl Postgres {
    /// Sets a server up and starts it.
    ///
    /// # Panics
    ///
    /// If it does not start, or is not installed.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "as in `Mariadb::start`")]
    pub fn start(options: PostgresOptions) -> Self {
        let server = Self {
            home: Home::new("gaggle-postgres-", User::if_root("postgres")),
            programs: programs(),
            port: AtomicU16::new(0),
        };
        server.set_up(&options);
        for _ in 0..STARTS {
            server.port.store(free_port(), Relaxed);
            if server.try_start() {
                server.psql_in("postgres", &format!("CREATE DATABASE {DATABASE}"));
                return server;
            }
        }
        panic!("PostgreSQL does not start:\n{}", server.home.end_of_log());
    }

    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/DATABASE`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// The same for another database.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        let port = self.port();
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// Its port of 127.0.0.1. A restart keeps it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.load(Relaxed)
    }

    /// Runs statements by `psql` and returns the rows: columns separated by `|`, rows by line
    /// breaks.
    ///
    /// # Panics
    ///
    /// If a statement fails. See [`try_psql`](Self::try_psql).
    pub fn psql(&self, sql: &str) -> String {
        self.psql_in(DATABASE, sql)
    }

    /// The same in another database.
    ///
    /// # Panics
    ///
    /// If a statement fails.
    pub fn psql_in(&self, database: &str, sql: &str) -> String {
        self.run_psql(database, sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// [`psql`](Self::psql), but returns the error text if a statement fails.
    pub fn try_psql(&self, sql: &str) -> Result<String, String> {
        self.run_psql(DATABASE, sql)
    }

    /// Stops the server: connections are closed, and what was written is kept.
    pub fn stop(&self) {
        self.home.end(Signal::INT);
    }

    /// Ends the server as a crash would.
    pub fn kill(&self) {
        self.home.end(Signal::KILL);
    }

    /// Starts a server that was stopped or killed, on its port.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_again(&self) {
        // After a crash, processes of the old server can still run for a moment, and a start
        // fails.
        let started = poll(|| self.try_start().then_some(()));
        assert!(
            started.is_some(),
            "PostgreSQL does not start again:\n{}",
            self.home.end_of_log()
        );
    }

    /// Stops and starts it.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// What the server has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.home.log()
    }

    fn set_up(&self, options: &PostgresOptions) {
        let password = self.home.write("password", PASSWORD);
        let mut initdb = self.home.user.command(self.programs.join("initdb"));
        initdb
            .arg("--pgdata")
            .arg(self.data())
            .arg("--pwfile")
            .arg(&password)
            .args(["--username", USER, "--auth", "scram-sha-256"])
            .args(["--encoding", "UTF8", "--locale", "C.UTF-8"])
            .args(["--no-sync", "--no-instructions"]);
        run(initdb, "").unwrap_or_else(|error| panic!("initdb: {error}"));
        let mut settings = vec![
            ("listen_addresses", "127.0.0.1".to_owned()),
            ("unix_socket_directories", String::new()),
            ("fsync", "off".to_owned()),
            ("synchronous_commit", "off".to_owned()),
            ("full_page_writes", "off".to_owned()),
            ("shared_buffers", "32MB".to_owned()),
            ("max_wal_size", "128MB".to_owned()),
            ("min_wal_size", "32MB".to_owned()),
        ];
        if options.wal_level_logical {
            settings.push(("wal_level", "logical".to_owned()));
        }
        if let Some(tls) = &options.tls {
            let files = [
                ("ssl_cert_file", "server.crt", &tls.certificate),
                ("ssl_key_file", "server.key", &tls.key),
            ];
            settings.push(("ssl", "on".to_owned()));
            for (setting, name, content) in files {
                let path = self.home.write(name, content);
                settings.push((setting, path.display().to_string()));
            }
        }
        let more = options.settings.iter();
        settings.extend(more.map(|(name, value)| (name.as_str(), value.clone())));
        // The last one of a name counts.
        let lines = settings
            .iter()
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")));
        self.home
            .write("data/postgresql.auto.conf", &lines.collect::<String>());
    }

    fn data(&self) -> PathBuf {
        self.home.path("data")
    }

    fn try_start(&self) -> bool {
        let mut command = self.home.user.command(self.programs.join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port().to_string()]);
        self.home.start(command, || {
            self.run_psql("postgres", "SELECT 1").is_ok() && self.is_ours()
        })
    }

    /// Whether it is this server that has the port, and not one that another test has started.
    fn is_ours(&self) -> bool {
        let directory = self.run_psql("postgres", "SHOW data_directory");
        directory.is_ok_and(|directory| Path::new(&directory) == self.data())
    }

    fn run_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
            .args(["-d", &self.url_of(database)])
            .args(["-f", "-"])
            .env("PGCONNECT_TIMEOUT", "10")
            .env("PGCLIENTENCODING", "UTF8");
        run(psql, sql)
    }
}

/// The directory of the newest installed release's programs.
fn programs() -> PathBuf {
    let releases = fs::read_dir("/usr/lib/postgresql");
    let newest = releases
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .max_by_key(|bin| {
            let release = bin.parent().and_then(Path::file_name);
            let release = release.and_then(|name| name.to_str());
            release.and_then(|name| name.parse::<u32>().ok())
        });
    // On other systems they may be in the search path.
    newest.unwrap_or_default()
}
