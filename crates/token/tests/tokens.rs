//! Tokens: what is one, which are accepted, and how they change while they are in use.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaggle_token::{PLACEHOLDER, Refused, Token, Tokens};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use tempfile::TempDir;
use tokio::time::sleep;

const FIRST: &str = "first-token-0123456789";
const SECOND: &str = "second-token-0123456789";
const THIRD: &str = "third-token-0123456789";

fn asking(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn with(token: &str) -> HeaderMap {
    asking(&[&format!("Bearer {token}")])
}

fn sent(tokens: &Tokens) -> String {
    tokens.header().unwrap().to_str().unwrap().to_owned()
}

fn file(text: impl AsRef<[u8]>) -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn the_first_is_sent_and_each_is_accepted() {
    let (_dir, path) = file(format!("\r\n  {FIRST} \r\n\n\t{SECOND}\n\n"));
    let tokens = Tokens::read(path).unwrap();
    assert_eq!(sent(&tokens), format!("Bearer {FIRST}"));
    assert!(tokens.header().unwrap().is_sensitive());
    assert!(tokens.accepts(&with(FIRST)) && tokens.accepts(&with(SECOND)));
    assert_eq!(tokens.check(&with(THIRD)), Err(Refused::WrongToken));
    let texts = tokens.all();
    let texts: Vec<_> = texts.iter().map(Token::expose).collect();
    assert_eq!(texts, [FIRST, SECOND]);
}

#[test]
fn what_is_printed_in_place_of_a_token_is_none() {
    for (text, line) in [
        (PLACEHOLDER.to_owned(), "line 1"),
        (format!("{FIRST}\n {PLACEHOLDER}\r\n"), "line 2"),
    ] {
        let (_dir, path) = file(&text);
        for failure in [Tokens::read(path), Tokens::parse(&text)] {
            let said = failure.unwrap_err().to_string();
            assert!(said.contains(line), "{said}");
        }
    }
    let (_dir, path) = file(FIRST);
    let tokens = Tokens::read(&path).unwrap();
    fs::write(&path, PLACEHOLDER).unwrap();
    tokens.reload().unwrap_err();
    assert!(tokens.accepts(&with(FIRST)) && !tokens.accepts(&with(PLACEHOLDER)));
}

#[test]
fn only_one_header_of_the_right_scheme_with_the_whole_token_counts() {
    let tokens = Tokens::parse(FIRST).unwrap();
    for good in ["Bearer ", "bearer ", "BEARER ", "Bearer   "] {
        assert!(
            tokens.accepts(&asking(&[&format!("{good}{FIRST}")])),
            "{good}"
        );
    }
    let bearer = format!("Bearer {FIRST}");
    for (values, why) in [
        (vec![], Refused::NoToken),
        (vec![FIRST], Refused::NoToken),
        (vec!["Bearer"], Refused::NoToken),
        (vec!["Bearer "], Refused::NoToken),
        (vec!["Basic first-token-0123456789"], Refused::NoToken),
        (vec!["Bearer\tfirst-token-0123456789"], Refused::NoToken),
        (vec![&bearer, &bearer], Refused::NoToken),
        (vec!["Bearer first-token-012345678"], Refused::WrongToken),
        (vec!["Bearer first-token-01234567890"], Refused::WrongToken),
        (vec!["Bearer FIRST-TOKEN-0123456789"], Refused::WrongToken),
        (vec!["Bearer first-token-0123456789,"], Refused::WrongToken),
    ] {
        assert_eq!(tokens.check(&asking(&values)), Err(why), "{values:?}");
    }
}

#[test]
fn what_is_no_token_is_refused_in_one_line_that_does_not_show_it() {
    let secret = "s3cr3t";
    let long = format!("{secret}{}", "x".repeat(5_000));
    for (text, problem) in [
        ("", "it holds no token"),
        (" \n\r\n", "it holds no token"),
        (secret, "line 1 is shorter than 16 bytes"),
        (
            "first-token-0123456789\n\ns3cr3t",
            "line 3 is shorter than 16 bytes",
        ),
        (
            "s3cr3t with blanks in it",
            "line 1 holds something other than visible ASCII",
        ),
        (
            "s3cr3t-with-an-umlaut-\u{e4}",
            "line 1 holds something other than visible ASCII",
        ),
        (
            "s3cr3t-with-a-nul-\0-in",
            "line 1 holds something other than visible ASCII",
        ),
        (
            "s3cr3t-0123456789\ns3cr3t-1123456789\ns3cr3t-2123456789",
            "it has more than two lines",
        ),
        (&long, "it has more than 4096 bytes"),
    ] {
        let error = Tokens::parse(text).unwrap_err().to_string();
        assert!(error.starts_with("the token: "), "{error}");
        let (_dir, path) = file(text);
        let of_file = Tokens::read(&path).unwrap_err().to_string();
        assert!(of_file.contains(path.to_str().unwrap()), "{of_file}");
        for error in [error, of_file] {
            assert!(error.contains(problem), "{error}");
            assert!(
                !error.contains(secret) && error.lines().count() == 1,
                "{error}"
            );
        }
    }
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let (dir, path) = file(FIRST);
    fs::remove_file(&path).unwrap();
    let missing = Tokens::read(&path).unwrap_err().to_string();
    assert!(missing.contains("it cannot be read: "), "{missing}");
    let directory = Tokens::read(dir.path()).unwrap_err().to_string();
    assert!(directory.ends_with("it is no regular file"), "{directory}");
    let odd = Tokens::read(Path::new("a\nb")).unwrap_err().to_string();
    assert!(odd.starts_with(r"the token file a\nb: "), "{odd}");
}

#[test]
fn nothing_shows_a_token() {
    let tokens = Tokens::parse(&format!("{FIRST}\n{SECOND}")).unwrap();
    let shown = format!("{tokens:?} {:?} {:?}", tokens.all(), tokens.header());
    assert!(shown.contains("***"), "{shown}");
    assert!(!shown.contains("0123456789"), "{shown}");
}

#[test]
fn a_file_that_changes_is_taken_over_and_one_that_cannot_be_used_is_not() {
    let (_dir, path) = file(FIRST);
    let tokens = Tokens::read(&path).unwrap();
    let clone = tokens.clone();
    assert!(!tokens.reload().unwrap());
    fs::write(&path, format!("{SECOND}\n{FIRST}\n")).unwrap();
    assert!(tokens.reload().unwrap());
    assert_eq!(sent(&clone), format!("Bearer {SECOND}"));
    assert!(clone.accepts(&with(FIRST)));

    for bad in ["", "short", "has a blank in the token"] {
        fs::write(&path, bad).unwrap();
        assert!(tokens.reload().is_err());
        assert!(clone.accepts(&with(FIRST)) && clone.accepts(&with(SECOND)));
    }
    fs::write(&path, SECOND).unwrap();
    assert!(tokens.reload().unwrap());
    assert!(!clone.accepts(&with(FIRST)) && clone.accepts(&with(SECOND)));
}

#[test]
fn one_handle_takes_over_another_with_its_file() {
    let tokens = Tokens::parse(FIRST).unwrap();
    assert!(!tokens.reload().unwrap(), "there is no file");
    let clone = tokens.clone();
    let (_dir, path) = file(SECOND);
    tokens.set(&Tokens::read(&path).unwrap());
    assert!(clone.accepts(&with(SECOND)) && !clone.accepts(&with(FIRST)));
    fs::write(&path, THIRD).unwrap();
    assert!(clone.reload().unwrap() && tokens.accepts(&with(THIRD)));
}

#[test]
fn an_admission_holds_until_its_token_is_withdrawn() {
    let (_dir, path) = file(FIRST);
    let tokens = Tokens::read(&path).unwrap();
    for wrong in ["", SECOND, &FIRST[1..], "Bearer first-token-0123456789"] {
        assert!(tokens.admit(wrong.as_bytes()).is_none(), "{wrong}");
    }
    let admission = |token: &str| tokens.admit(token.as_bytes()).unwrap();
    let first = admission(FIRST);
    let clone = first.clone();

    // The steps of a rotation, by the file and by another handle.
    fs::write(&path, format!("{FIRST}\n{SECOND}")).unwrap();
    assert!(tokens.reload().unwrap());
    let second = admission(SECOND);
    let given_again = admission(FIRST);
    tokens.set(&Tokens::parse(&format!("{SECOND}\n{FIRST}")).unwrap());
    assert!(first.holds() && clone.holds() && given_again.holds() && second.holds());
    tokens.set(&Tokens::read(&path).unwrap());
    fs::write(&path, SECOND).unwrap();
    assert!(tokens.reload().unwrap());
    assert!(!first.holds() && !clone.holds() && !given_again.holds());
    assert!(second.holds());

    // A token that is accepted again has to be given again.
    tokens.set(&Tokens::parse(FIRST).unwrap());
    assert!(!first.holds() && !second.holds() && admission(FIRST).holds());
    assert!(!format!("{first:?}").contains("0123456789"));
}

#[test]
fn a_token_that_is_listed_twice_is_withdrawn_as_one() {
    let twice = format!("{FIRST}\n{FIRST}");
    for lists in [[FIRST, &twice], [&twice, FIRST], [&twice, &twice]] {
        let tokens = Tokens::parse(lists[0]).unwrap();
        let before = tokens.admit(FIRST.as_bytes()).unwrap();
        tokens.set(&Tokens::parse(lists[1]).unwrap());
        let after = tokens.admit(FIRST.as_bytes()).unwrap();
        assert!(before.holds() && after.holds());
        tokens.set(&Tokens::parse(SECOND).unwrap());
        assert!(!before.holds() && !after.holds(), "{lists:?}");
    }
}

#[test]
fn what_another_handle_withdraws_is_its_own_affair() {
    let (tokens, other) = (Tokens::parse(FIRST).unwrap(), Tokens::parse(FIRST).unwrap());
    tokens.set(&other);
    let (ours, others) = (
        tokens.admit(FIRST.as_bytes()).unwrap(),
        other.admit(FIRST.as_bytes()).unwrap(),
    );
    other.set(&Tokens::parse(SECOND).unwrap());
    assert!(ours.holds() && !others.holds());
}

/// Lines of the log of this thread, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The test runner's own limit is how long this may take.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_watched_file_is_taken_over_when_it_changes() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let (_dir, path) = file(FIRST);
    let tokens = Tokens::read(&path).unwrap();
    let watch = tokio::spawn(tokens.clone().watch(Duration::from_millis(10)));
    fs::write(&path, SECOND).unwrap();
    until(|| tokens.accepts(&with(SECOND))).await;
    // Each problem with it is logged once, and changes nothing.
    for (text, problem) in [
        ("short", "shorter than"),
        ("a blank in it", "visible ASCII"),
    ] {
        fs::write(&path, text).unwrap();
        until(|| log.text().contains(problem)).await;
        assert!(tokens.accepts(&with(SECOND)));
    }
    fs::write(&path, SECOND).unwrap();
    until(|| log.text().contains("can be used again")).await;
    fs::write(&path, THIRD).unwrap();
    until(|| tokens.accepts(&with(THIRD))).await;
    assert!(!watch.is_finished());
    watch.abort();
    let text = log.text();
    assert_eq!(text.matches("shorter than").count(), 1, "{text}");
    assert!(!text.contains("token-0123456789"), "{text}");
}
