//! The README's configuration is valid, and names every field.

use toml::Value;

use super::*;
use crate::config::example;

const README: &str = include_str!("../../../README.md");

fn reference() -> &'static str {
    let (_, from) = README.split_once("```toml\n").unwrap();
    from.split_once("```").unwrap().0
}

#[test]
fn the_reference_is_a_configuration() {
    let config = parse(reference(), &Overrides::default()).unwrap();
    // The defaults that it shows are right.
    let defaults = Config::default();
    assert_eq!(config.node.limits, defaults.node.limits);
    assert_eq!(config.node.front_door, defaults.node.front_door);
    assert_eq!(config.cluster.health, defaults.cluster.health);
    assert_eq!(
        config.cluster.client,
        defaults.cluster.client_spelled_out().unwrap()
    );
    assert_eq!(config.cluster.settle, defaults.cluster.settle);
    let printed = as_printed(&config);
    let (scores, group) = (&printed.groups["scores"], Group::default());
    assert_eq!(
        (
            scores.stand_in_ttl,
            scores.hand_over_timeout,
            scores.removal_timeout,
            scores.retry_after
        ),
        (
            group.stand_in_ttl,
            group.hand_over_timeout,
            group.removal_timeout,
            group.retry_after
        )
    );
}

#[test]
fn every_field_is_in_the_reference() {
    fn missing<'f>(table: &'f toml::Table, found: &mut Vec<&'f str>) {
        for (name, value) in table {
            match value {
                // The names in these tables are free.
                Value::Table(inner) if name != "headers" && name != "options" => {
                    missing(inner, found);
                }
                _ => {
                    let shown = |line: &str| {
                        line.trim_start_matches("# ")
                            .starts_with(&format!("{name} = "))
                    };
                    if !reference().lines().any(shown) {
                        found.push(name);
                    }
                }
            }
        }
    }
    let fields = example::fields().unwrap();
    let mut found = Vec::new();
    missing(&fields, &mut found);
    assert_eq!(found, [""; 0]);
}
