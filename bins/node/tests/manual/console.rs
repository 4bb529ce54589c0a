//! The commands that the README and chapters of the manual show are run, and what they print is
//! compared with what is shown.
//!
//! A comment in a chapter requests this: `<!-- console: demo -->` (three nodes as in the demo run
//! already) or `<!-- console: shell -->` (nothing runs yet). All its blocks of the language
//! `console` are one session of a shell: a line that begins with `$ ` is a command, and the lines
//! after it are its output. A line `...` stands for any lines, and `...` in a line for any text. A
//! block of TOML whose first line is `# NAME.toml` is written to that file first.
//!
//! Every session has a loopback address of its own in place of `localhost` and 127.0.0.1, so that
//! the ports that the manual names are free.

mod session;
mod transcript;

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use tempfile::TempDir;

use self::session::Session;
use self::transcript::Transcript;
use crate::root;

/// What runs before the first command.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scene {
    /// Nothing.
    Shell,
    /// Three nodes with the names, ports and values of `gaggle-node demo`.
    Demo,
}

/// The configuration of a node of the demo, on another address.
fn demo_node(ip: Ipv4Addr, n: u16, data: &Path) -> String {
    let peers: Vec<String> = (8001..8004)
        .map(|port| format!("http://{ip}:{port}"))
        .collect();
    // Placement depends on names alone, so that owners are those that the manual shows.
    format!(
        "[node]\nname = \"127.0.0.1:{peer}\"\npeer-addr = \"{ip}:{peer}\"\napi-addr = \"{ip}:{api}\"\nadmin-addr = \"{ip}:{admin}\"\n\
         drain-delay = \"0s\"\n[cluster]\npeers = {peers:?}\n[groups.scores.origin]\nkind = \"files\"\nroot = {data:?}\n",
        peer = 8001 + n,
        api = 9999 - n,
        admin = 9990 + n,
    )
}

/// Starts the three nodes, and waits until they know each other by name.
async fn start_demo(session: &mut Session, directory: &Path, ip: Ipv4Addr) {
    let data = directory.join("demo-data");
    fs::create_dir(&data).unwrap();
    for (key, value) in [("Tom", "630"), ("Jack", "589"), ("Sam", "567")] {
        fs::write(data.join(key), value).unwrap();
    }
    for n in 0..3 {
        let file = format!("demo-{n}.toml");
        fs::write(directory.join(&file), demo_node(ip, n, &data)).unwrap();
        let started = session
            .run(&format!("env -u GAGGLE_PEER_ADDR -u GAGGLE_API_ADDR -u GAGGLE_ADMIN_ADDR gaggle-node serve --config {file} &"))
            .await;
        assert_eq!(started, "");
    }
    let members = "\"members\":[\"127.0.0.1:8001\",\"127.0.0.1:8002\",\"127.0.0.1:8003\"]";
    let wait = format!(
        "for port in 9990 9991 9992; do until gaggle-node health --admin-addr {ip}:$port 2>/dev/null && \
         curl -s http://{ip}:$port/status | grep -qF '{members}'; do sleep 0.05; done; done"
    );
    session.run(&wait).await;
}

/// Runs a file's commands, and compares.
async fn check(name: &str, scene: Scene, programs: &Path) {
    let text = fs::read_to_string(root().join(name)).unwrap();
    let transcript = Transcript::read(&text);
    assert!(!transcript.commands.is_empty(), "{name} shows no command");

    let directory = TempDir::new().unwrap();
    let ip = session::loopback();
    let place = |text: &str| {
        text.replace("localhost", "127.0.0.1")
            .replace("127.0.0.1", &ip.to_string())
    };
    for (file, text) in &transcript.files {
        fs::write(directory.path().join(file), place(text)).unwrap();
    }
    let mut session = Session::start(directory.path(), ip, programs);
    if scene == Scene::Demo {
        start_demo(&mut session, directory.path(), ip).await;
    }
    for command in &transcript.commands {
        let printed = session.run(&place(&command.text)).await;
        let printed = printed.replace(&ip.to_string(), "127.0.0.1");
        assert!(
            command.matches(&printed),
            "{name}:{}: $ {}\n--- shown\n{}\n--- printed\n{printed}",
            command.line,
            command.text,
            command.output.join("\n")
        );
    }
}

/// The directory of the programs that the tests were built with.
fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_gaggle-node"))
        .parent()
        .unwrap()
}

/// The chapters whose commands are run, with what they need.
fn marked() -> Vec<(String, String)> {
    let src = root().join("docs/src");
    let mut marked = Vec::new();
    for file in crate::links::markdown_below(&src) {
        let text = fs::read_to_string(&file).unwrap();
        if let Some((_, rest)) = text.split_once("<!-- console: ") {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            marked.push((name, rest.split_once(" -->").unwrap().0.to_owned()));
        }
    }
    marked
}

#[tokio::test]
#[ignore = "needs curl: docs/install, just manual"]
async fn the_quick_start_of_the_readme_does_what_it_shows() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    // These two are not run: they build the repository and run this very test. The demo itself is
    // tested in `e2e`.
    assert!(readme.contains("$ cargo run --release\n"));
    assert!(readme.contains("$ cargo test --workspace\n"));
    check("README.md", Scene::Demo, programs()).await;
}

#[tokio::test]
#[ignore = "needs curl: docs/install, just manual"]
async fn the_chapters_do_what_they_show() {
    for (name, needs) in marked() {
        match needs.as_str() {
            "demo" => check(&name, Scene::Demo, programs()).await,
            "shell" => check(&name, Scene::Shell, programs()).await,
            "demo gagglectl" => {}
            other => panic!("{name}: {other:?} is no scene"),
        }
    }
}

/// `gagglectl` is another package: cargo builds it for this test only if it is asked to.
#[tokio::test]
#[ignore = "needs curl, and gagglectl beside gaggle-node: docs/install, just manual"]
async fn the_chapters_with_gagglectl_do_what_they_show() {
    let mut chapters = 0;
    for (name, needs) in marked() {
        if needs == "demo gagglectl" {
            chapters += 1;
            check(&name, Scene::Demo, programs()).await;
        }
    }
    assert!(chapters > 0);
}

#[tokio::test]
async fn what_is_not_printed_is_noticed() {
    let directory = TempDir::new().unwrap();
    let mut session = Session::start(directory.path(), session::loopback(), programs());
    let transcript =
        Transcript::read("```console\n$ printf 'a\\nb 7 c\\n'\na\nb ... c\n$ echo x\ny\n```\n");
    let [first, second] = &transcript.commands[..] else {
        panic!("{transcript:?}");
    };
    let printed = session.run(&first.text).await;
    assert!(first.matches(&printed), "{printed:?}");
    let printed = session.run(&second.text).await;
    assert!(!second.matches(&printed), "{printed:?}");
}
