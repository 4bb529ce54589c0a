//! The servers start, keep their data over a restart, and end.

use std::net::{Ipv4Addr, TcpStream};

use gaggle_testservers::{Mariadb, MariadbOptions, Postgres, PostgresOptions};

#[test]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
fn postgres_starts_restarts_and_ends() {
    let options = PostgresOptions {
        wal_level_logical: true,
        ..PostgresOptions::default()
    };
    let server = Postgres::start(options);
    assert_eq!(server.psql("SHOW wal_level"), "logical");
    server.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)");
    server.restart();
    assert_eq!(server.psql("SELECT a FROM t ORDER BY a"), "1\n2");
    server.kill();
    assert!(server.try_psql("SELECT 1").is_err());
    server.start_again();
    assert!(server.try_psql("SELECT nonsense").is_err());
    let port = server.port();
    drop(server);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
#[ignore = "needs MariaDB: deploy/databases/install"]
fn mariadb_starts_restarts_and_ends() {
    let server = Mariadb::start(MariadbOptions {
        binlog: true,
        ..MariadbOptions::default()
    });
    assert_eq!(server.sql("SELECT @@binlog_format"), "ROW");
    server.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)");
    server.restart();
    assert_eq!(server.sql("SELECT a FROM t ORDER BY a"), "1\n2");
    server.kill();
    assert!(server.try_sql("SELECT 1").is_err());
    server.start_again();
    assert!(server.try_sql("SELECT nonsense").is_err());
    let port = server.port();
    drop(server);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}
