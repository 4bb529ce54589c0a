//! `gaggle-node health`: the node to ask is found as the node itself finds its ports.

use std::path::Path;
use std::process::Output;

use axum::Router;
use axum::routing::get;
use gaggle_serve::{Options, Server};
use gaggle_tls::{ClientCerts, Tls, TlsFiles};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

use crate::support::cluster::free_ports;
use crate::support::{Node, command, loopback, until};

const GOOD: &str =
    "[groups.scores.origin]\nkind = \"http\"\nurl = \"http://127.0.0.1:7000/{key}\"\n";

/// Asks for the health with these arguments.
fn health(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let environment = environment.iter().copied();
    command()
        .arg("health")
        .args(args)
        .envs(environment)
        .output()
        .unwrap()
}

#[tokio::test]
async fn a_node_is_found_by_its_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let admin = free_ports(1)[0];
    let ip = admin.ip();
    let text = format!(
        "[node]\npeer-addr = \"{ip}:0\"\napi-addr = \"{ip}:0\"\nadmin-addr = \"{admin}\"\nlog-format = \"json\"\n{GOOD}"
    );
    let config = dir.path().join("gaggle.toml");
    std::fs::write(&config, &text).unwrap();
    let file = config.to_str().unwrap();
    let code =
        |args: &[&str], environment: &[(&str, &str)]| health(args, environment).status.code();
    assert_eq!(code(&["--config", file], &[]), Some(1), "nobody is there");
    let node = Node::start(Path::new(&config)).await;
    let admin = admin.to_string();
    until("the node to be ready", async || {
        code(&["--config", file], &[]) == Some(0)
    })
    .await;
    assert_eq!(code(&[], &[("GAGGLE_CONFIG", file)]), Some(0));
    assert_eq!(code(&[], &[("GAGGLE_NODE__ADMIN_ADDR", &admin)]), Some(0));
    assert_eq!(code(&["--admin-addr", &admin], &[]), Some(0));
    // A fault elsewhere in the file does not make a running node unhealthy.
    std::fs::write(&config, format!("{text}\n[groups.scores.x]\n")).unwrap();
    assert_eq!(code(&["--config", file], &[]), Some(0));
    drop(node);
    assert_eq!(code(&["--config", file], &[]), Some(1));
}

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for that name, its key and this CA to the directory, and gives the
    /// `security.tls` table of them.
    fn issue(&self, dir: &Path, name: &str) -> String {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        std::fs::create_dir_all(dir).unwrap();
        let write = |file: &str, text: String| {
            let path = dir.join(file);
            std::fs::write(&path, text).unwrap();
            path
        };
        let cert = write("tls.crt", cert.pem());
        let key = write("tls.key", key.serialize_pem());
        let ca = write("ca.crt", self.0.pem());
        format!("[security.tls]\ncert = {cert:?}\nkey = {key:?}\nclient-ca = {ca:?}\n")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_a_node_is_known_by_its_name_and_asked_with_its_own_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Ca::new("ours");
    let table = ca.issue(&dir.path().join("own"), "node-1");
    let own = |file: &str| Some(dir.path().join("own").join(file));
    let tls = Tls::load(TlsFiles {
        cert: own("tls.crt"),
        key: own("tls.key"),
        client_ca: own("ca.crt"),
        ..TlsFiles::default()
    })
    .unwrap();
    // This server is stricter than a node, which answers `/readyz` without authentication.
    let server = tls.server(ClientCerts::Required).unwrap();
    let options = Options {
        tls: Some(gaggle_serve::Tls::new(move || server.config())),
        ..Options::default()
    };
    let server = Server::bind(format!("{}:0", loopback()), options)
        .await
        .unwrap();
    let addr = server.local_addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(async move {
        let routes = Router::new().route("/readyz", get(async || "ready"));
        let _ = server
            .serve(routes, async {
                // An error means the same: the test is over.
                let _ = stopped.await;
            })
            .await;
    });

    let ask = |node: &str, tables: &str| {
        let config = dir.path().join("gaggle.toml");
        let text = format!("[node]\nadmin-addr = \"{addr}\"\n{node}\n{tables}");
        std::fs::write(&config, text).unwrap();
        let output = health(&["--config", config.to_str().unwrap()], &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), stderr)
    };
    let advertised = "advertise = \"https://node-1:8001\"";
    assert_eq!(ask(advertised, &table), (Some(0), String::new()));
    // The name in the ring is one that peers take.
    assert_eq!(ask("name = \"node-1\"", &table), (Some(0), String::new()));
    let both = "name = \"node-1\"\nadvertise = \"https://node-2:8001\"";
    assert_eq!(ask(both, &table), (Some(0), String::new()));
    let common = format!("{table}peer-name = \"node-1\"\n");
    assert_eq!(ask("", &common), (Some(0), String::new()));

    // The certificate is for neither the address nor the name.
    let (code, line) = ask("advertise = \"https://node-2:8001\"", &table);
    assert_eq!(code, Some(1), "{line}");
    assert_eq!(line.lines().count(), 1, "{line:?}");
    // Another cluster's.
    let foreign = Ca::new("theirs").issue(&dir.path().join("foreign"), "node-1");
    assert_eq!(ask(advertised, &foreign).0, Some(1));
    // Plain HTTP.
    assert_eq!(ask(advertised, "").0, Some(1));
    assert_eq!(
        ask(advertised, &format!("{table}ports = [\"peers\"]\n")).0,
        Some(1)
    );
    drop(stop);
    served.await.unwrap();
}

#[tokio::test]
async fn a_node_with_tls_and_a_token_says_that_it_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let admin = free_ports(1)[0];
    let ip = admin.ip();
    let table = Ca::new("ours").issue(&dir.path().join("own"), "node-1");
    let text = format!(
        "[node]\npeer-addr = \"{ip}:0\"\napi-addr = \"{ip}:0\"\nadmin-addr = \"{admin}\"\nlog-format = \"json\"\n\
         [security]\ntoken = \"0123456789abcdef\"\n{table}peer-name = \"node-1\"\n{GOOD}"
    );
    let config = dir.path().join("gaggle.toml");
    std::fs::write(&config, &text).unwrap();
    let _node = Node::start(&config).await;
    until("the node to be ready", async || {
        let output = health(&["--config", config.to_str().unwrap()], &[]);
        output.status.success()
    })
    .await;
}
