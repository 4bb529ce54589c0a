//! MariaDB.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use rustix::process::Signal;

use crate::process::{Home, free_port, poll, run};
use crate::user::User;
use crate::{DATABASE, PASSWORD, Tls, USER};

/// The options of a server.
#[derive(Debug, Clone, Default)]
pub struct MariadbOptions {
    /// The certificate with which it also accepts connections with TLS.
    pub tls: Option<Tls>,
    /// Whether it writes a binary log of rows.
    pub binlog: bool,
    /// Further options of `mariadbd`, such as `--max-connections=5`.
    pub arguments: Vec<String>,
}

/// A MariaDB server. The user [`USER`] has all privileges, and the database [`DATABASE`] exists.
#[derive(Debug)]
pub struct Mariadb {
    home: Home,
    options: MariadbOptions,
    port: AtomicU16,
}

const STARTS: usize = 10;

impl Mariadb {
    /// Sets a server up and starts it.
    ///
    /// # Panics
    ///
    /// If it does not start, or is not installed.
    #[must_use]
    pub fn start(options: MariadbOptions) -> Self {
        let server = Self {
            home: Home::new("gaggle-mariadb-", User::if_root("mysql")),
            options,
            port: AtomicU16::new(0),
        };
        server.set_up();
        for _ in 0..STARTS {
            server.port.store(free_port(), Relaxed);
            if server.try_start() {
                return server;
            }
        }
        panic!("MariaDB does not start:\n{}", server.home.end_of_log());
    }

    /// `mysql://USER:PASSWORD@127.0.0.1:PORT/DATABASE`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// The same for another database.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        let port = self.port();
        format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// Its port of 127.0.0.1. A restart keeps it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.load(Relaxed)
    }

    /// Runs statements by the client and returns the rows: columns separated by tabs, rows by line
    /// breaks.
    ///
    /// # Panics
    ///
    /// If a statement fails.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The same, but returns the error text if a statement fails.
    pub fn try_sql(&self, sql: &str) -> Result<String, String> {
        let mut client = Command::new("mariadb");
        client
            .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1"])
            .args(["--batch", "--skip-column-names", "--connect-timeout=10"])
            .args(["--default-character-set=utf8mb4"])
            .arg(format!("--port={}", self.port()))
            .arg(format!("--user={USER}"))
            .arg(format!("--password={PASSWORD}"))
            .arg(DATABASE);
        run(client, sql)
    }

    /// Stops the server: connections are closed, and what was written is kept.
    pub fn stop(&self) {
        self.home.end(Signal::TERM);
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
        let started = poll(|| self.try_start().then_some(()));
        assert!(
            started.is_some(),
            "MariaDB does not start again:\n{}",
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

    fn data(&self) -> PathBuf {
        self.home.path("data")
    }

    fn set_up(&self) {
        let mut install = self.home.user.command("mariadb-install-db");
        install
            .args(["--no-defaults", "--skip-test-db", "--skip-name-resolve"])
            .arg("--auth-root-authentication-method=normal")
            .arg(format!("--datadir={}", self.data().display()))
            .args(["--innodb-flush-method=nosync", "--innodb-log-file-size=8M"]);
        run(install, "").unwrap_or_else(|error| panic!("mariadb-install-db: {error}"));
        // Run by the server at each start.
        let statements = format!(
            "CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4;\n\
             CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
             GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        );
        self.home.write("init.sql", &statements);
        if let Some(tls) = &self.options.tls {
            self.home.write("server.crt", &tls.certificate);
            self.home.write("server.key", &tls.key);
        }
    }

    fn try_start(&self) -> bool {
        let path = |name| self.home.path(name).display().to_string();
        let mut command = self.home.user.command("/usr/sbin/mariadbd");
        command
            .args(["--no-defaults", "--bind-address=127.0.0.1"])
            .arg(format!("--port={}", self.port()))
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--socket={}", path("socket")))
            .arg(format!("--pid-file={}", path("pid")))
            .arg(format!("--init-file={}", path("init.sql")))
            .args(["--skip-name-resolve", "--performance-schema=OFF"])
            .args(["--innodb-flush-method=nosync", "--innodb-log-file-size=8M"])
            .args(["--innodb-buffer-pool-size=32M"])
            .args(["--innodb-flush-log-at-trx-commit=0", "--loose-skip-ssl"]);
        if self.options.binlog {
            command
                .args(["--server-id=1", "--binlog-format=ROW"])
                .arg(format!("--log-bin={}", path("binlog")));
        }
        if self.options.tls.is_some() {
            command
                .arg("--ssl")
                .arg(format!("--ssl-cert={}", path("server.crt")))
                .arg(format!("--ssl-key={}", path("server.key")));
        }
        command.args(&self.options.arguments);
        self.home.start(command, || self.is_ours())
    }

    /// Whether this server is ready on the port, and not one that another test has started.
    fn is_ours(&self) -> bool {
        let data = format!("{}/", self.data().display());
        self.try_sql("SELECT @@datadir")
            .is_ok_and(|directory| directory == data)
    }
}
