//! Accessibility: for users with low vision, with a screen reader, or with a narrow screen.

use serde_json::{Value, json};

use crate::scene::Scene;

/// Texts whose contrast to their background is below that of WCAG 2.2, level AA, and lines of the
/// plots below that of graphics.
const LOW_CONTRAST: &str = include_str!("contrast.js");

/// The brightness of the page's background, of 1.
const BRIGHTNESS: &str = r"
const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
return (r + g + b) / 765;
";

const TOO_WIDE: &str = include_str!("width.js");

/// What the markup lacks, as text.
const FAULTS: &str = include_str!("faults.js");

async fn list(scene: &Scene, script: &str) -> Vec<Value> {
    let told = scene.browser.run(script, json!([])).await;
    told.as_array().unwrap().clone()
}

#[tokio::test]
#[ignore = "needs Chromium: deploy/browser/install"]
async fn the_page_fits_any_width_and_both_schemes_can_be_read() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    let long = format!("/v1/scores/{}", "long-key-".repeat(80));
    scene.client.get(scene.node().api, &long).await;
    scene.many_gets(scene.node(), b"Tom").await;
    browser.says("#groups-table tbody", "of 64.0 MiB").await;
    // Every part is shown while it is measured: an answer to the form, an alarm, and the question.
    let fill = "document.getElementById('lookup-key').value = 'long-key-'.repeat(80);
        document.getElementById('lookup-form').requestSubmit();
        document.querySelectorAll('details').forEach((one) => { one.open = true; })";
    browser.run(fill, json!([])).await;
    browser.says("#owner", "is owned by").await;

    for (scheme, bright) in [("light", true), ("dark", false)] {
        browser.prefer("prefers-color-scheme", scheme).await;
        for width in [320, 380, 800, 1400] {
            browser.resize(width).await;
            let wide = list(&scene, TOO_WIDE).await;
            assert!(wide.is_empty(), "{scheme} at {width}: {wide:#?}");
            let low = list(&scene, LOW_CONTRAST).await;
            assert!(low.is_empty(), "{scheme} at {width}: {low:#?}");
        }
        let brightness = browser.run(BRIGHTNESS, json!([])).await;
        let brightness = brightness.as_f64().unwrap();
        assert!(
            if bright {
                brightness > 0.9
            } else {
                brightness < 0.15
            },
            "{scheme}: {brightness}"
        );
    }
    browser.prefer("prefers-reduced-motion", "reduce").await;
    let script = "return getComputedStyle(document.documentElement).scrollBehavior";
    assert_eq!(browser.run(script, json!([])).await, "auto");
    scene.console_is_silent("").await;
}

#[tokio::test]
#[ignore = "needs Chromium: deploy/browser/install"]
async fn a_screen_reader_is_told_what_everything_is() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    scene.many_gets(scene.node(), b"Tom").await;
    // This node owns and loads some of these.
    let keys: Vec<_> = (0..50).map(|n| format!("user {n}").into_bytes()).collect();
    scene.client.batch(scene.node(), &keys).await;
    browser.says("#origins-table tbody", "healthy").await;
    browser.says("#cursor-time", "now").await;
    let script = "return document.querySelector('#plots p').textContent !== ''";
    scene
        .holds("the plots are told in words", script, json!([]))
        .await;
    let faults = list(&scene, FAULTS).await;
    assert!(faults.is_empty(), "{faults:#?}");

    // The names that the browser computes for a screen reader.
    browser.devtools("Accessibility.enable", &json!({})).await;
    let tree = browser
        .devtools("Accessibility.getFullAXTree", &json!({}))
        .await;
    let nodes = tree["nodes"].as_array().unwrap().iter();
    let shown: Vec<_> = nodes.filter(|node| node["ignored"] != true).collect();
    let of_role = |role: &str| -> Vec<&str> {
        let found = shown.iter().filter(|node| node["role"]["value"] == role);
        let names = found.map(|node| node["name"]["value"].as_str().unwrap_or_default());
        names.collect()
    };
    for role in [
        "button",
        "link",
        "textbox",
        "combobox",
        "slider",
        "radio",
        "image",
        "table",
        "region",
        "navigation",
        "DisclosureTriangle",
    ] {
        let names = of_role(role);
        assert!(
            names.iter().all(|name| !name.is_empty()),
            "{role}: {names:?}"
        );
    }
    let images = of_role("image");
    for plot in [
        "Gets",
        "Hit ratio",
        "Loads",
        "Latency of loads",
        "Memory",
        "Shed and stale",
    ] {
        assert!(images.contains(&plot), "{images:?}");
    }
    assert!(of_role("table").len() >= 6);
    assert_eq!(of_role("main").len(), 1);

    // The plots are read by one slider, by the keyboard as well.
    let script = "document.getElementById('cursor').focus()";
    browser.run(script, json!([])).await;
    browser.press(['\u{E012}']).await;
    let script = "return document.getElementById('cursor').getAttribute('aria-valuetext')";
    let told = browser.run(script, json!([])).await;
    let told = told.as_str().unwrap();
    assert!(
        !told.starts_with("now") && told.contains("Hit ratio, clients"),
        "{told}"
    );
}
