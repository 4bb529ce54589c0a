//! A configuration in which every field is set. It gives the types of the fields, without a
//! separate list that could be out of date. The literals name each field, so that the compiler
//! reports a field that is added and missing here.

use std::path::PathBuf;

use toml::{Table, Value};

use super::client::Client;
use super::cluster::Cluster;
use super::discovery::{Discovery, Dns, FileList, Gossip};
use super::follow::{Follow, Notify, Replication, Table as Followed, Watch};
use super::group::Group;
use super::node::Node;
use super::origin::{Batch, Files, Http, Object, Origin, Server, Sqlite};
use super::secret::Secret;
use super::security::{Security, Tls};
use super::tracing::Tracing;
use super::units::{Size, Span};
use super::{Config, ConfigError};

/// A table with every field of a configuration, of whatever kinds its tables are.
pub(super) fn fields() -> Result<Table, ConfigError> {
    let mut all = Table::new();
    for (origin, discovery, follow) in kinds() {
        let config = config(origin, discovery, follow);
        let table = Table::try_from(config)
            .map_err(|failure| ConfigError::new("the configuration", failure))?;
        merge(&mut all, table);
    }
    Ok(all)
}

/// Adds what is missing.
fn merge(all: &mut Table, more: Table) {
    for (name, value) in more {
        match (all.get_mut(&name), value) {
            (Some(Value::Table(all)), Value::Table(more)) => merge(all, more),
            (Some(_), _) => {}
            (None, value) => {
                all.insert(name, value);
            }
        }
    }
}

const SPAN: Option<Span> = Some(Span::from_secs(1));

fn file() -> Option<PathBuf> {
    Some("file".into())
}

fn text() -> Option<Secret> {
    Some(Secret::new("secret"))
}

fn http() -> Http {
    Http {
        url: "http://h/{key}".into(),
        headers: [("authorization".to_owned(), Secret::new("secret"))].into(),
        fallbacks: vec!["http://i/{key}".into()],
        total_timeout: SPAN,
        token: text(),
        token_file: file(),
        ca: file(),
        client_cert: file(),
        client_key: file(),
        batch: Some(Batch {
            url: "http://h/batch".into(),
            fallbacks: vec!["http://i/batch".into()],
            timeout: SPAN,
            ..Batch::default()
        }),
        ..Http::default()
    }
}

fn server() -> Server {
    Server {
        url: "postgres://h/d".into(),
        url_file: file(),
        password: text(),
        password_file: file(),
        replicas: vec!["postgres://i/d".into()],
        query: "SELECT $1".into(),
        acquire_timeout: SPAN,
        statement_timeout: SPAN,
        ca: file(),
        ..Server::default()
    }
}

fn object() -> Object {
    Object {
        url: "s3://bucket".into(),
        endpoint: Some("http://h".into()),
        region: Some("region".into()),
        access_key_id: text(),
        secret_access_key: text(),
        secret_access_key_file: file(),
        token: text(),
        token_file: file(),
        options: [("aws_request_payer".to_owned(), Secret::new("true"))].into(),
        parallel_from: Some(Size(8 << 20)),
        ..Object::default()
    }
}

fn tables() -> Vec<Followed> {
    vec![Followed {
        table: "table".into(),
        key: "{id}".into(),
        payload: Some("value".into()),
    }]
}

fn replication() -> Replication {
    Replication {
        url: "postgres://h/d".into(),
        url_file: file(),
        password: text(),
        password_file: file(),
        ca: file(),
        publication: "publication".into(),
        slot: "slot".into(),
        tables: tables(),
        ..Replication::default()
    }
}

fn notify() -> Notify {
    Notify {
        url: "postgres://h/d".into(),
        url_file: file(),
        password: text(),
        password_file: file(),
        ca: file(),
        channel: "channel".into(),
        tables: tables(),
        ..Notify::default()
    }
}

/// Each kind of each table, in any combination.
pub(super) fn kinds() -> [(Origin, Discovery, Follow); 6] {
    let sqlite = Sqlite {
        path: "file".into(),
        query: "SELECT ?1".into(),
        acquire_timeout: SPAN,
        ..Sqlite::default()
    };
    let files = Files {
        root: "root".into(),
    };
    let watch = Watch {
        root: file(),
        everywhere: false,
    };
    let dns = Dns {
        name: "node".into(),
        port: Some(1),
        nameserver: Some(([127, 0, 0, 1], 53).into()),
        ..Dns::default()
    };
    let gossip = Gossip {
        listen: ([127, 0, 0, 1], 7946).into(),
        advertise: Some(([127, 0, 0, 1], 7946).into()),
        seeds: vec!["127.0.0.1:7947".into()],
        ..Gossip::default()
    };
    let list = FileList {
        path: "file".into(),
        ..FileList::default()
    };
    let (dns, gossip, list) = (
        Discovery::Dns(dns),
        Discovery::Gossip(gossip),
        Discovery::File(list),
    );
    [
        (
            Origin::Http(http()),
            dns.clone(),
            Follow::Postgres(replication()),
        ),
        (
            Origin::Sqlite(sqlite),
            gossip,
            Follow::PostgresNotify(notify()),
        ),
        (Origin::Files(files), list, Follow::Files(watch)),
        (
            Origin::Postgres(server()),
            dns.clone(),
            Follow::Postgres(replication()),
        ),
        (
            Origin::Mysql(server()),
            dns.clone(),
            Follow::Postgres(replication()),
        ),
        (
            Origin::Object(object()),
            dns,
            Follow::Postgres(replication()),
        ),
    ]
}

/// Leaves one of each two fields that exclude each other: the text itself, or the file that holds
/// it.
#[cfg(test)]
pub(super) fn choose(config: &mut Config, files: bool) {
    fn one<T, U>(text: &mut Option<T>, file: &mut Option<U>, files: bool) {
        if files {
            *text = None;
        } else {
            *file = None;
        }
    }
    fn url(text: &mut String, file: &mut Option<PathBuf>, files: bool) {
        if files {
            text.clear();
        } else {
            *file = None;
        }
    }
    for group in config.groups.values_mut() {
        match &mut group.origin {
            Some(Origin::Http(http)) => one(&mut http.token, &mut http.token_file, files),
            Some(Origin::Object(object)) => {
                let (key, file) = (
                    &mut object.secret_access_key,
                    &mut object.secret_access_key_file,
                );
                one(key, file, files);
                one(&mut object.token, &mut object.token_file, files);
            }
            Some(Origin::Postgres(server) | Origin::Mysql(server)) => {
                url(&mut server.url, &mut server.url_file, files);
                one(&mut server.password, &mut server.password_file, files);
            }
            _ => {}
        }
        match &mut group.follow {
            Some(Follow::Postgres(follow)) => {
                url(&mut follow.url, &mut follow.url_file, files);
                one(&mut follow.password, &mut follow.password_file, files);
            }
            Some(Follow::PostgresNotify(follow)) => {
                for table in &mut follow.tables {
                    table.payload = None;
                }
                url(&mut follow.url, &mut follow.url_file, files);
                one(&mut follow.password, &mut follow.password_file, files);
            }
            _ => {}
        }
    }
}

/// Not valid: it has both of two fields that exclude each other.
pub(super) fn config(origin: Origin, discovery: Discovery, follow: Follow) -> Config {
    Config {
        node: node(),
        cluster: cluster(discovery),
        security: security(),
        tracing: tracing(),
        groups: [("example".to_owned(), group(origin, follow))].into(),
    }
}

fn node() -> Node {
    let Node {
        name: _,
        advertise: _,
        drain_delay: _,
        resp_addr: _,
        resp_group: _,
        peer_addr,
        api_addr,
        admin_addr,
        admin_hosts,
        drain_timeout,
        max_connections,
        max_in_flight,
        log_format,
        log_level,
        log_interval,
        limits,
        front_door,
        resp,
    } = Node::default();
    Node {
        name: Some("name".into()),
        advertise: Some("https://127.0.0.1:8001".into()),
        drain_delay: SPAN,
        resp_addr: Some("127.0.0.1:6379".into()),
        resp_group: Some("example".into()),
        peer_addr,
        api_addr,
        admin_addr,
        admin_hosts,
        drain_timeout,
        max_connections,
        max_in_flight,
        log_format,
        log_level,
        log_interval,
        limits,
        front_door,
        resp,
    }
}

fn cluster(discovery: Discovery) -> Cluster {
    Cluster {
        discovery: Some(discovery),
        peers: vec!["http://127.0.0.1:8001".into()],
        client: client(),
        ..Cluster::default()
    }
}

fn client() -> Client {
    Client {
        connect_timeout: SPAN,
        remove_timeout: SPAN,
        max_requests_per_peer: Some(1),
        read_timeout: SPAN,
        idle_per_peer: Some(1),
        idle_timeout: SPAN,
        unacknowledged_timeout: SPAN,
        batching: Some(true),
        requests_at_once: Some(1),
        smallest_batch: Some(1),
        longest_batch_wait: SPAN,
        max_waiting: Some(1),
        keep_alive_interval: SPAN,
        keep_alive_timeout: SPAN,
    }
}

fn security() -> Security {
    Security {
        token_file: file(),
        token: Some(Secret::new("token")),
        insecure: false,
        tls: Some(Tls {
            cert: file(),
            key: file(),
            client_ca: file(),
            ca: file(),
            peer_name: Some("name".into()),
            front_door_client_ca: file(),
            ports: Tls::default().ports,
            accept_plain: false,
        }),
    }
}

fn tracing() -> Tracing {
    Tracing {
        endpoint: Some("http://127.0.0.1:4318".into()),
        headers_file: file(),
        ca: file(),
        resource_attributes: Some("team=a,tier=1".into()),
        ..Tracing::default()
    }
}

fn group(origin: Origin, follow: Follow) -> Group {
    let Group {
        origin: _,
        follow: _,
        max_wait: _,
        origin_grace: _,
        ttl: _,
        negative_ttl: _,
        cache_control: _,
        snapshot: _,
        capacity,
        store,
        load_timeout,
        max_key,
        max_value,
        max_origin_loads,
        circuit_breaker,
        max_loads,
        retry_after,
        hot_copies,
        hot_ttl,
        stand_in_ttl,
        hand_over_timeout,
        removal_timeout,
        ttl_jitter,
        stale_while_revalidate,
        stale_if_error,
        refresh_ahead,
        freshness,
        snapshot_interval,
    } = Group::default();
    Group {
        origin: Some(origin),
        follow: Some(follow),
        max_wait: SPAN,
        origin_grace: SPAN,
        ttl: SPAN,
        negative_ttl: SPAN,
        cache_control: Some("ttl".into()),
        snapshot: file(),
        capacity,
        store,
        load_timeout,
        max_key,
        max_value,
        max_origin_loads,
        circuit_breaker,
        max_loads,
        retry_after,
        hot_copies,
        hot_ttl,
        stand_in_ttl,
        hand_over_timeout,
        removal_timeout,
        ttl_jitter,
        stale_while_revalidate,
        stale_if_error,
        refresh_ahead,
        freshness,
        snapshot_interval,
    }
}
