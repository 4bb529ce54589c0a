//! The statements that set a database up for following.

mod notify;
mod replication;

pub use notify::notify_sql;
pub use replication::replication_sql;

/// A body between dollar signs, with a tag that the body does not contain.
fn dollar_quoted(body: &str) -> String {
    let mut tag = "$gaggle$".to_owned();
    let mut number = 0;
    while body.contains(&tag) {
        number += 1;
        tag = format!("$gaggle{number}$");
    }
    format!("{tag}\n{body}{tag}")
}

/// Text for a comment of one line.
fn comment(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
