use std::time::SystemTime;

use gaggle_tls::{ClientCerts, Tls, TlsError, TlsFiles};

use crate::support::*;

/// The one-line error for files that are wrong.
fn problem(files: TlsFiles) -> String {
    let said = Tls::load(files).unwrap_err().to_string();
    assert!(!said.contains('\n'), "{said}");
    said
}

#[test]
fn a_file_that_is_wrong_is_named_with_what_is_wrong_with_it() {
    let ca = Ca::new();
    let good = ca.issue(&["localhost"]);
    let dir = Dir::new(&ca, &good);
    let path = |name: &str| dir.path(name).display().to_string();
    let (cert, key) = (path("tls.crt"), path("tls.key"));

    let mut files = dir.files();
    files.cert = Some(dir.path("none.crt"));
    let said = problem(files);
    let expected = format!("cannot read {}: No such file", path("none.crt"));
    assert!(said.starts_with(&expected), "{said}");

    let mut files = dir.files();
    files.client_ca = Some(dir.root().to_owned());
    assert!(problem(files).starts_with("cannot read "));

    let mut files = dir.files();
    files.cert = files.key.clone();
    assert_eq!(problem(files), format!("there is no certificate in {key}"));

    let mut files = dir.files();
    files.key = files.cert.clone();
    assert_eq!(problem(files), format!("there is no private key in {cert}"));

    dir.write("tls.key", &ca.issue(&["localhost"]).key);
    assert_eq!(
        problem(dir.files()),
        format!("the private key in {key} does not belong to the certificate in {cert}")
    );
    dir.put(&good);

    let mut files = dir.files();
    files.key = None;
    let said = problem(files);
    assert!(said.ends_with(&format!("{cert} is alone")), "{said}");

    dir.write(
        "bad.crt",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let mut files = dir.files();
    files.ca = Some(dir.path("bad.crt"));
    let said = problem(files);
    let expected = format!("a certificate in {} cannot be used", path("bad.crt"));
    assert!(said.starts_with(&expected), "{said}");

    dir.write("cut.crt", good.cert.trim_end().trim_end_matches('-'));
    let mut files = dir.files();
    files.cert = Some(dir.path("cut.crt"));
    let said = problem(files);
    let expected = format!("{} cannot be read as PEM", path("cut.crt"));
    assert!(said.starts_with(&expected), "{said}");

    // Never opened: that could block forever.
    #[cfg(unix)]
    {
        let mut files = dir.files();
        files.ca = Some("/dev/null".into());
        assert_eq!(
            problem(files),
            "cannot read /dev/null: it is no regular file"
        );
        std::os::unix::fs::symlink(dir.path("ca.crt"), dir.path("link.crt")).unwrap();
        let mut files = dir.files();
        files.ca = Some(dir.path("link.crt"));
        Tls::load(files).unwrap();
    }

    dir.write("long.crt", &"x".repeat(2 << 20));
    let mut files = dir.files();
    files.ca = Some(dir.path("long.crt"));
    assert_eq!(
        problem(files),
        format!("{} has more than 1048576 bytes", path("long.crt"))
    );

    let mut files = dir.files();
    files.peer_name = Some("not a name".into());
    assert_eq!(
        problem(files),
        "\"not a name\" is neither a DNS name nor an IP address"
    );
}

#[test]
fn a_certificate_that_is_not_valid_now_is_refused() {
    let ca = Ca::new();
    let now = SystemTime::now();
    let dir = Dir::new(&ca, &ca.issue_for(&["a"], now - 2 * DAY, now - DAY));
    let cert = dir.path("tls.crt");
    let said = problem(dir.files());
    let expected = format!("the certificate in {} expired at ", cert.display());
    assert!(said.starts_with(&expected), "{said}");
    assert!(matches!(Tls::load(dir.files()), Err(TlsError::Expired { path, .. }) if path == cert));

    dir.put(&ca.issue_for(&["a"], now + DAY, now + 2 * DAY));
    let said = problem(dir.files());
    let expected = format!("the certificate in {} is not valid before ", cert.display());
    assert!(said.starts_with(&expected), "{said}");

    let end = now + 30 * DAY;
    dir.put(&ca.issue_for(&["a"], now - DAY, end));
    let not_after = Tls::load(dir.files()).unwrap().not_after().unwrap();
    let seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    assert_eq!(seconds(not_after), seconds(end));
}

#[test]
fn what_is_behind_the_certificate_may_be_out_of_date() {
    let ca = Ca::new();
    let now = SystemTime::now();
    let leaf = ca.issue(&["a"]);
    let dir = Dir::new(&ca, &leaf);
    let end = Tls::load(dir.files()).unwrap().not_after().unwrap();
    for (from, to) in [(now - 2 * DAY, now - DAY), (now + DAY, now + 2 * DAY)] {
        let other = ca.issue_for(&["other"], from, to).cert;
        dir.write("tls.crt", &format!("{}{other}", leaf.cert));
        let tls = Tls::load(dir.files()).unwrap();
        assert_eq!(tls.not_after(), Some(end), "of those that are valid");
        // The first is the one that is presented.
        dir.write("tls.crt", &format!("{other}{}", leaf.cert));
        assert!(problem(dir.files()).starts_with("the certificate in "));
        assert!(tls.reload().is_err());
    }
}

#[test]
fn what_is_missing_is_said_by_whoever_needs_it() {
    let ca = Ca::new();
    let dir = Dir::new(&ca, &ca.issue(&["a"]));

    let mut files = dir.files();
    files.client_ca = None;
    let tls = Tls::load(files).unwrap();
    assert!(tls.server(ClientCerts::None).is_ok());
    for certs in [ClientCerts::Optional, ClientCerts::Required] {
        assert!(matches!(tls.server(certs), Err(TlsError::NoClientCa)));
    }

    let mut files = dir.files();
    (files.cert, files.key) = (None, None);
    let tls = Tls::load(files).unwrap();
    assert!(matches!(
        tls.server(ClientCerts::None),
        Err(TlsError::NoIdentity)
    ));
    assert_eq!(tls.not_after(), None);
}

#[test]
fn a_key_is_never_printed() {
    let ca = Ca::new();
    let pair = ca.issue(&["a"]);
    let dir = Dir::new(&ca, &pair);
    let tls = Tls::load(dir.files()).unwrap();
    let server = tls.server(ClientCerts::Required).unwrap();
    let printed = format!("{tls:?} {server:?} {:?}", tls.client().peer("a"));
    for line in pair.key.lines().filter(|line| !line.starts_with('-')) {
        assert!(!printed.contains(line));
    }
    assert!(printed.contains("tls.key"), "{printed}");
}
