//! A cluster at work: what the page shows, and that it continues to show it.

use serde_json::json;

use crate::scene::Scene;
use crate::support::{Node, until};

#[tokio::test]
#[ignore = "needs Chromium: deploy/browser/install"]
async fn the_page_shows_the_ring_the_hits_and_the_plots() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    let names: Vec<_> = scene.cluster.nodes.iter().map(Node::ring_name).collect();

    assert_eq!(browser.text("#name").await, names[0]);
    browser.says("#state", "ready").await;
    browser.says("#verdict", "Healthy").await;
    browser
        .says("#ring", "The 3 nodes that answered see the same ring")
        .await;
    for node in &scene.cluster.nodes {
        let (class, cells) = scene.row(node).await;
        assert_eq!((&*class, cells.len()), ("", 10), "{cells:?}");
        assert!(cells[1].contains("ready"), "{cells:?}");
        assert_eq!(cells[2], env!("CARGO_PKG_VERSION"));
    }
    // Each node's view of each member.
    let says = browser.texts("#matrix tbody td").await;
    let up = says.iter().filter(|text| *text == "up").count();
    let itself = says.iter().filter(|text| *text == "itself").count();
    let all = says.iter().filter(|text| *text == "all say up").count();
    assert_eq!((up, itself, all), (6, 3, 3), "{says:?}");

    // Hits, in the nodes' counters and in the ratio of the whole.
    for node in &scene.cluster.nodes {
        scene.many_gets(node, b"Tom").await;
    }
    until("the clients' hits are shown", async || {
        let verdict = browser.text("#verdict").await;
        let ratio = verdict.split("clients’ hit ratio ").nth(1);
        let ratio = ratio.and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
        ratio.is_some_and(|ratio| ratio > 20.0)
    })
    .await;
    for node in &scene.cluster.nodes {
        until("the gets of a node are shown", async || {
            let (_, cells) = scene.row(node).await;
            cells[5] != "0" && cells[5] != "–" && cells[6].ends_with('%')
        })
        .await;
    }
    // The group's budget and settings.
    browser.says("#groups-table tbody", "of 64.0 MiB").await;
    browser.says("#groups-table tbody", "1 h").await;
    browser.says("#origins-table tbody", "http").await;
    browser.says("#origins-table tbody", "closed").await;
    browser.says("#events-table tbody", "ready").await;

    // A sample is taken every ten seconds. A plot with points has a path, a legend with values and
    // a table of them.
    let script =
        "const path = document.querySelector('#plots figure:nth-of-type(1) path.series.a');
        const top = document.querySelector('#plots figure:nth-of-type(1) .ys').textContent;
        return /[ML]/.test(path.getAttribute('d') ?? '') && !top.startsWith('1/s')";
    scene.holds("gets are plotted", script, json!([])).await;
    let script =
        "document.querySelectorAll('#plots details').forEach((one) => { one.open = true; })";
    browser.run(script, json!([])).await;
    let script = "return Array.from(document.querySelectorAll('#plots table'), (table) => table.tBodies[0].rows.length > 0)
        .filter(Boolean).length >= 3";
    scene
        .holds("the tables have the values", script, json!([]))
        .await;

    browser.picture("light-1400").await;
    browser.prefer("prefers-color-scheme", "dark").await;
    browser.picture("dark-1400").await;
    browser.resize(380).await;
    browser.picture("dark-380").await;
    browser.prefer("prefers-color-scheme", "light").await;
    browser.picture("light-380").await;
    scene.console_is_silent("").await;
}

#[tokio::test]
#[ignore = "needs Chromium: deploy/browser/install"]
async fn the_page_says_so_when_its_own_node_ends_and_when_it_is_paused() {
    let mut scene = Scene::start().await;
    let click = "document.getElementById(arguments[0]).click()";
    scene.browser.run(click, json!(["pause"])).await;
    scene.browser.says("#updated", "Paused").await;
    // Answers to earlier requests are not shown any more, either: no request is under way.
    let pressed = "return document.getElementById('pause').getAttribute('aria-pressed')";
    assert_eq!(scene.browser.run(pressed, json!([])).await, "true");
    scene.browser.run(click, json!(["pause"])).await;
    scene.browser.says("#updated", "As of").await;
    scene.console_is_silent("").await;

    scene.cluster.nodes[0].process.kill();
    scene.browser.says("#alarm", "does not answer").await;
    scene.browser.says("#alarm", "What is shown is as of").await;
    scene.browser.says("#state", "no answer").await;
    let script = "return document.title.startsWith('No answer')
        && document.getElementById('alarm').getAttribute('role') === 'alert'";
    assert_eq!(scene.browser.run(script, json!([])).await, true);
    scene.browser.picture("no-answer").await;
}
