//! A port that requires a token: the page asks for it.

use serde_json::json;

use crate::scene::Scene;

const TOKEN: &str = "a-token-of-the-cluster-0123456789";

#[tokio::test]
#[ignore = "needs Chromium: deploy/browser/install"]
async fn the_page_asks_for_the_token_and_keeps_it_in_its_tab() {
    let scene = Scene::with(&format!("[security]\ntoken = \"{TOKEN}\"\n")).await;
    let browser = &scene.browser;
    scene.open().await;
    browser.says("#state", "locked").await;
    let script =
        "return document.getElementById('main').hidden && document.activeElement.id === 'token'";
    scene
        .holds("the token is asked for", script, json!([]))
        .await;
    browser.picture("token").await;
    // Without a token nothing of the node is shown, not even its name.
    let text = browser.text("body").await;
    assert!(!text.contains(scene.node().ring_name()), "{text}");

    browser
        .press("a-token-that-is-wrong-012345\u{E007}".chars())
        .await;
    browser.says("#access-why", "did not take this token").await;
    browser.press(format!("{TOKEN}\u{E007}").chars()).await;
    browser.says("#verdict", "3 of 3 nodes up").await;
    // The token is stored nowhere that outlives the tab, and in no URL.
    let script = "return [localStorage.length, document.cookie, location.href, document.getElementById('token').value]";
    let told = browser.run(script, json!([])).await;
    let url = format!("http://{}/", scene.node().admin);
    assert_eq!(told, json!([0, "", url, ""]));

    // A reload of the page does not ask again. Forgetting does.
    scene.open().await;
    browser.says("#verdict", "3 of 3 nodes up").await;
    let script = "document.getElementById('forget').click()";
    browser.run(script, json!([])).await;
    browser.says("#state", "locked").await;
    let script = "return sessionStorage.length";
    assert_eq!(browser.run(script, json!([])).await, 0);
}
