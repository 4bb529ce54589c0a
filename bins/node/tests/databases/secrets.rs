//! No command shows a password.

use gaggle_testservers::PASSWORD;

use crate::world::{Plan, World, run};

/// The password of the user who follows.
pub(crate) const FOLLOWS: &str = "battery-staple";

/// A password of an object store, and a token of a service.
const MORE: [&str; 2] = ["secret-of-a-store", "token-of-a-service"];

impl World {
    /// Says whether a node has written a password to its log, so far and since its last start.
    pub(crate) fn assert_silent(&self) {
        for node in &self.cluster.nodes {
            for secret in [PASSWORD, FOLLOWS] {
                assert_eq!(node.process.lines_with(secret), 0, "{}", node.name);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn no_command_prints_a_password() {
    let world = World::start(&Plan::following(1)).await;
    let mut file = std::fs::read_to_string(&world.config).unwrap();
    // Ports that `check` can bind, since the nodes use the others.
    file = file.replace("127.0.0.1:1\"", "127.0.0.1:0\"");
    let file = file.replace("[cluster]\npeers = [\"http://127.0.0.1:0\"]", "[cluster]\n");
    let [store, token] = MORE;
    let file = format!(
        "{file}\n[groups.objects.origin]\nkind = \"object\"\nurl = \"s3://bucket/prefix\"\nregion = \"eu-central-1\"\n\
         access-key-id = \"an-id\"\nsecret-access-key = \"{store}\"\n\
         [groups.service.origin]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/{{key}}\"\ntoken = \"{token}\"\n"
    );
    let config = world.config.with_file_name("check.toml");
    std::fs::write(&config, file).unwrap();

    for more in [&[][..], &["--offline"]] {
        let (out, err) = run(&config, "check", more);
        println!(
            "{}",
            out.lines()
                .filter(|line| line.contains("url"))
                .collect::<Vec<_>>()
                .join("\n")
        );
        for secret in [PASSWORD, FOLLOWS, store, token] {
            assert!(!out.contains(secret) && !err.contains(secret), "{secret}");
        }
        assert!(out.contains("127.0.0.1"), "{out}");
        assert!(out.contains("kind = \"postgres\""), "{out}");
    }
    let (sql, err) = run(&config, "follow-sql", &["scores"]);
    for secret in [PASSWORD, FOLLOWS] {
        assert!(!sql.contains(secret) && !err.contains(secret));
    }
    assert!(!sql.contains("profiles"), "{sql}");

    // The report of an origin that cannot log in does not contain the password that it tried.
    let wrong = std::fs::read_to_string(&config).unwrap();
    let wrong = wrong.replace(PASSWORD, "wrong-password");
    std::fs::write(&config, wrong).unwrap();
    let mut check = crate::support::command();
    let check = check
        .arg("check")
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(2), "{said}");
    println!("{said}");
    assert!(said.contains("groups."), "{said}");
    assert!(!said.contains("wrong-password"), "{said}");
    world.assert_silent();
}
