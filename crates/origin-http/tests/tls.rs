//! Https with private authorities, client certificates, and the machine's own roots.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gaggle_group::{Content, Key, Load, Origin, OriginError, OriginFault};
use gaggle_origin_http::{HttpOptions, HttpOrigin, OptionsError, Trust};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use support::LIMIT;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An authority whose files are in a folder.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Issues a certificate: its file and that of its key.
    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        );
        std::fs::write(&files.0, certificate.pem()).unwrap();
        std::fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }

    fn client(&self) -> (PathBuf, PathBuf) {
        self.issue("client", ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A service that asks for a certificate of `clients`, where there are such; its port.
    async fn serve(&self, clients: Option<&Self>) -> u16 {
        let (cert, key) = self.issue("server", ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                let root = CertificateDer::from_pem_file(clients.ca()).unwrap();
                roots.add(root).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let config = builder.with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut request = [0; 4096];
                    while let Ok(1..) = stream.read(&mut request).await {
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nvalue";
                        if stream.write_all(answer).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }
}

fn options(port: u16) -> HttpOptions {
    HttpOptions {
        url: format!("https://localhost:{port}/{{key}}"),
        ..HttpOptions::default()
    }
}

async fn load(options: HttpOptions) -> Result<Content, OriginError> {
    let origin = HttpOrigin::new(options).unwrap();
    let key = Key::from("Tom");
    Ok(origin.load(Load::new(&key, LIMIT)).await?.content)
}

fn value() -> Content {
    Content::Value("value".into())
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named_and_no_other_is() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let port = ours.serve(None).await;
    let with = |ca: Option<PathBuf>, trust| HttpOptions {
        ca,
        trust,
        ..options(port)
    };
    let found = load(with(Some(ours.ca()), Trust::Platform)).await;
    assert_eq!(found.unwrap(), value());
    for options in [
        with(None, Trust::Platform),
        with(None, Trust::Mozilla),
        with(Some(theirs.ca()), Trust::Platform),
    ] {
        let error = load(options).await.unwrap_err();
        assert_eq!(error.fault(), OriginFault::Unreachable);
        let text = error.to_string();
        assert!(
            text.contains("certificate") && !text.contains("Tom"),
            "{text}"
        );
    }
    // A file of several authorities.
    let both = ours.path("both.pem");
    let text = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    std::fs::write(&both, text(theirs.ca()) + &text(ours.ca())).unwrap();
    let found = load(with(Some(both), Trust::Platform)).await;
    assert_eq!(found.unwrap(), value());
}

#[tokio::test]
async fn a_certificate_is_for_the_name_that_is_asked() {
    let ours = Authority::new();
    let port = ours.serve(None).await;
    let by = |host: &str| HttpOptions {
        url: format!("https://{host}:{port}/{{key}}"),
        ca: Some(ours.ca()),
        ..HttpOptions::default()
    };
    assert_eq!(load(by("localhost")).await.unwrap(), value());
    let error = load(by("127.0.0.1")).await.unwrap_err();
    assert_eq!(error.fault(), OriginFault::Unreachable);
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn a_service_that_wants_a_certificate_is_shown_one() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let port = ours.serve(Some(&ours)).await;
    let with = |files: Option<(PathBuf, PathBuf)>| {
        let (client_cert, client_key) = files.unzip();
        HttpOptions {
            ca: Some(ours.ca()),
            client_cert,
            client_key,
            ..options(port)
        }
    };
    assert_eq!(load(with(Some(ours.client()))).await.unwrap(), value());
    for files in [None, Some(theirs.client())] {
        assert!(load(with(files)).await.is_err());
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_errors_that_name_the_field_and_show_no_key() {
    let ours = Authority::new();
    let (cert, key) = ours.client();
    let (_, other_key) = ours.issue("other", ExtendedKeyUsagePurpose::ClientAuth);
    let write = |name: &str, text: &str| {
        let path = ours.path(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let empty = write("empty", "");
    let broken = write(
        "broken",
        "-----BEGIN PRIVATE KEY-----\nsecret!\n-----END PRIVATE KEY-----\n",
    );
    let odd = write(
        "odd",
        "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n",
    );
    let gone = ours.path("gone");
    let refused = |ca: &Path, cert: &Path, key: &Path| -> OptionsError {
        let options = HttpOptions {
            ca: Some(ca.to_owned()),
            client_cert: Some(cert.to_owned()),
            client_key: Some(key.to_owned()),
            ..options(1)
        };
        HttpOrigin::new(options).unwrap_err()
    };
    let ca = ours.ca();
    for (error, field, reason) in [
        (refused(&gone, &cert, &key), "ca", "gone"),
        (refused(&empty, &cert, &key), "ca", "no certificate"),
        (refused(&key, &cert, &key), "ca", "no certificate"),
        (refused(&odd, &cert, &key), "ca", "authority"),
        (refused(&ca, &empty, &key), "client_cert", "no certificate"),
        (refused(&ca, &gone, &key), "client_cert", "gone"),
        (refused(&ca, &cert, &cert), "client_key", "no private key"),
        (refused(&ca, &cert, &broken), "client_key", "not PEM"),
        (refused(&ca, &cert, &gone), "client_key", "gone"),
        (
            refused(&ca, &cert, &other_key),
            "client_key",
            "the certificate",
        ),
    ] {
        assert_eq!(error.field, field, "{error}");
        assert!(error.reason.contains(reason), "{error}");
        assert!(!error.reason.contains("secret"), "{error}");
    }
}

/// The part of the test below that runs in a separate process.
const PORT: &str = "GAGGLE_TEST_TLS_PORT";

/// Does nothing unless a port is set.
#[tokio::test]
async fn loads_over_the_roots_of_the_machine() {
    let Ok(port) = std::env::var(PORT) else {
        return;
    };
    let found = load(options(port.parse().unwrap())).await;
    println!("found {}", found.is_ok_and(|it| it == value()));
}

#[tokio::test]
async fn the_roots_of_the_machine_are_trusted() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let port = ours.serve(None).await;
    let empty = ours.path("empty");
    std::fs::write(&empty, "").unwrap();
    let found = async |roots: PathBuf| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--exact",
                "loads_over_the_roots_of_the_machine",
                "--nocapture",
            ])
            .env("SSL_CERT_FILE", roots)
            .env_remove("SSL_CERT_DIR")
            .env(PORT, port.to_string());
        let run = tokio::task::spawn_blocking(move || command.output());
        let output = run.await.unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        match (text.contains("found true"), text.contains("found false")) {
            (true, false) => true,
            (false, true) => false,
            _ => panic!("{text}"),
        }
    };
    assert!(found(ours.ca()).await);
    assert!(!found(theirs.ca()).await);
    // Without any roots, Mozilla's are trusted, and not every certificate.
    assert!(!found(empty).await);
}
