//! Reads a password from a file for each new connection.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The longest password file.
const LONGEST: u64 = 64 << 10;

/// The password in a file, without one line break at its end. `Err` names the file, and contains
/// none of its content.
pub(super) async fn read(path: &Path) -> Result<String, String> {
    let at = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || read_file(&at)).await;
    let read = reading.unwrap_or_else(|_| Err("the runtime is shutting down".to_owned()));
    read.map_err(|why| format!("the password file {}: {why}", path.display()))
}

fn read_file(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut file = file.take(LONGEST + 1);
    file.read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.is_empty() => Err("it is empty".to_owned()),
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err("it is not UTF-8 text without a NUL".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_not_the_passwords() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            read_file(file.path())
        };
        for (bytes, password) in [
            (&b"pass"[..], "pass"),
            (b"pass\n", "pass"),
            (b"pass\r\n", "pass"),
            (b"pass\n\n", "pass\n"),
            (b"pass\r", "pass\r"),
            (b" pass \n", " pass "),
        ] {
            assert_eq!(read(bytes).as_deref(), Ok(password), "{bytes:?}");
        }
        for bytes in [&b""[..], b"\n", b"\xFF", b"a\0b"] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
        let longest = vec![b'7'; 64 << 10];
        assert_eq!(read(&longest).unwrap().len(), 64 << 10);
        assert!(read(&[&longest[..], b"7"].concat()).is_err());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named() {
        let error = read(Path::new("/no/such/file")).await.unwrap_err();
        assert!(error.contains("/no/such/file"), "{error}");
    }
}
