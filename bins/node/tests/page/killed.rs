//! A node that is killed, and the answer to a removal then.

use serde_json::{Value, json};

use crate::scene::Scene;
use crate::support::until;

/// The red, green and blue of the background of a node's row.
async fn colour(scene: &Scene, name: &str) -> Vec<f64> {
    let script = "const row = Array.from(document.querySelectorAll('#nodes tbody tr'))
          .find((row) => row.cells[0].textContent.includes(arguments[0]));
        return getComputedStyle(row.cells[1].querySelector('.tone')).color.match(/[\\d.]+/g).map(Number)";
    let parts = scene.browser.run(script, json!([name])).await;
    let parts = parts.as_array().unwrap().iter();
    parts.map(|part| part.as_f64().unwrap()).collect()
}

fn is_red(colour: &[f64]) -> bool {
    colour[0] > 1.5 * colour[1] && colour[0] > 1.5 * colour[2]
}

#[tokio::test]
#[ignore = "needs Chromium: deploy/browser/install"]
async fn the_row_of_a_killed_node_turns_red_and_a_removal_names_it() {
    let mut scene = Scene::start().await;
    let name = scene.cluster.nodes[2].ring_name().to_owned();
    assert!(!is_red(&colour(&scene, &name).await));

    scene.cluster.nodes[2].process.kill();
    until("the row says down", async || {
        let (class, cells) = scene.row(&scene.cluster.nodes[2]).await;
        class == "bad" && cells[1].starts_with("down")
    })
    .await;
    assert!(is_red(&colour(&scene, &name).await));
    let browser = &scene.browser;
    browser
        .says("#verdict", &format!("2 of 3 nodes up (not {name})"))
        .await;
    browser.says("#matrix tbody", "down").await;
    browser.says("#matrix tbody", "no answer").await;
    browser.says("#events-table tbody", "down").await;
    let script = "return document.title.startsWith('!!')";
    assert_eq!(browser.run(script, json!([])).await, true);
    // A screen reader announces it once.
    browser.says("#announce", "2 of 3 nodes up").await;
    browser.picture("killed-1400").await;
    scene.console_is_silent("").await;

    let fill = "document.getElementById('lookup-key').value = 'Tom';
        document.getElementById('remove').click();
        document.getElementById('confirm-yes').click()";
    browser.run(fill, json!([])).await;
    browser.says("#removal", "is removed from 2 nodes").await;
    browser
        .says("#removal", &format!("{name} was missed"))
        .await;
    let live = "return document.getElementById('removal').closest('[aria-live]').getAttribute('aria-live')";
    assert_eq!(browser.run(live, json!([])).await, Value::from("polite"));
    browser.says("#held-table tbody tr.bad", &name).await;
    browser.picture("killed-removal").await;
    // The answer to a removal that missed a node is 502, which a browser's console lists.
    scene.console_is_silent("v1/scores/remove").await;
}
