//! The form, by keyboard alone.

use serde_json::{Value, json};

use crate::browser::{ENTER, ESCAPE, TAB};
use crate::scene::Scene;

/// More elements than can be focused.
const MANY: usize = 80;

/// The id of the focused element, or its tag; fails if the focus cannot be seen.
async fn focused(scene: &Scene) -> String {
    let script = "const at = document.activeElement;
        const style = getComputedStyle(at);
        const seen = at === document.body || at.id === 'main' || style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
        return [at.id || at.tagName.toLowerCase(), seen]";
    let told = scene.browser.run(script, json!([])).await;
    assert_eq!(told[1], true, "the focus on {} is not seen", told[0]);
    told[0].as_str().unwrap().to_owned()
}

/// Presses Tab until an element is reached.
async fn tab_to(scene: &Scene, id: &str) {
    for _ in 0..MANY {
        scene.browser.press([TAB]).await;
        if focused(scene).await == id {
            return;
        }
    }
    panic!("{id} is not reached by Tab");
}

#[tokio::test]
#[ignore = "needs Chromium: deploy/browser/install"]
async fn a_key_is_found_and_removed_from_all_nodes_with_the_keyboard_alone() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    // The owner keeps the value, and the two others copy a key that is asked for so often.
    for node in &scene.cluster.nodes {
        scene.many_gets(node, b"user 1/profile").await;
    }
    let held = scene.held(b"user 1/profile").await;
    assert_eq!(held.len(), 3);
    assert!(held.iter().any(|held| held["tier"] == "main"), "{held:?}");
    let before = held.iter().filter(|held| !held.is_null()).count();
    assert_eq!(scene.origin.asked_for(b"user 1/profile"), 1);

    // The first stop is the link that skips the header.
    browser.press([TAB]).await;
    let first = "return document.activeElement.getAttribute('href')";
    assert_eq!(browser.run(first, json!([])).await, "#main");
    browser.press([ENTER]).await;
    scene
        .holds(
            "the content is focused",
            "return document.activeElement.id === 'main'",
            json!([]),
        )
        .await;

    tab_to(&scene, "lookup-key").await;
    browser.press("user 1/profile".chars()).await;
    browser.press([ENTER]).await;
    browser
        .says("#owner", "user 1/profile of scores is owned by")
        .await;
    let holds = if before == 1 {
        "1 node holds it"
    } else {
        "nodes hold it"
    };
    browser.says("#owner", holds).await;
    let holders = browser.texts("#held-table tbody tr").await;
    assert_eq!(holders.len(), 3);
    assert!(
        holders.iter().any(|row| row.contains("main cache")),
        "{holders:?}"
    );

    // The question is answered with No first, by Escape, and nothing is removed.
    tab_to(&scene, "remove").await;
    browser.press([ENTER]).await;
    let open = "return document.getElementById('confirm').open";
    assert_eq!(browser.run(open, json!([])).await, true);
    assert_eq!(focused(&scene).await, "confirm-no");
    browser
        .says("#confirm-text", "user 1/profile of the group scores")
        .await;
    browser.press([ESCAPE]).await;
    assert_eq!(browser.run(open, json!([])).await, false);
    assert_eq!(focused(&scene).await, "remove");
    let held = scene.held(b"user 1/profile").await;
    assert_eq!(held.iter().filter(|held| !held.is_null()).count(), before);

    browser.press([ENTER]).await;
    tab_to(&scene, "confirm-yes").await;
    browser.press([ENTER]).await;
    browser.says("#removal", "is removed from 3 nodes").await;
    for node in &scene.cluster.nodes {
        browser.says("#removal", node.ring_name()).await;
    }
    browser
        .says("#owner", "No node that answered holds it")
        .await;
    assert_eq!(focused(&scene).await, "remove");
    let cells = browser.texts("#held-table tbody td:nth-of-type(1)").await;
    assert_eq!(cells, ["nothing"; 3]);
    browser.picture("removed").await;

    let held = scene.held(b"user 1/profile").await;
    assert_eq!(held, [Value::Null, Value::Null, Value::Null]);
    // Whichever node gets the next request, the origin is asked again.
    let answer = scene
        .client
        .key(&scene.cluster.nodes[1], b"user 1/profile")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(scene.origin.asked_for(b"user 1/profile"), 2);
    scene.console_is_silent("").await;
}

#[tokio::test]
#[ignore = "needs Chromium: deploy/browser/install"]
async fn a_key_of_any_bytes_is_found_and_removed() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    let ask = "document.querySelector(`input[value=${arguments[1]}]`).checked = true;
        document.getElementById('lookup-key').value = arguments[0];
        document.getElementById(arguments[2]).click()";
    // Dots that a browser removes from paths, and bytes that are not text.
    let keys: [(&str, &str, &[u8]); 5] = [
        ("..", "text", b".."),
        ("/v1/%2e%2e?a=b&c#d", "text", b"/v1/%2e%2e?a=b&c#d"),
        ("//4AYmluYXJ5gA==", "base64", b"\xFF\xFE\0binary\x80"),
        ("__4AYmluYXJ5gA", "base64", b"\xFF\xFE\0binary\x80"),
        (" Tom ", "text", b" Tom "),
    ];
    for (text, spelling, key) in keys {
        let answer = scene.client.batch(scene.node(), &[key.to_vec()]).await;
        assert_eq!(answer[0].0, 200, "{text}");
        assert!(
            scene.held(key).await.iter().any(|held| !held.is_null()),
            "{text}"
        );
        browser.run(ask, json!([text, spelling, "remove"])).await;
        let yes = "document.getElementById('confirm-yes').click()";
        browser.run(yes, json!([])).await;
        browser.says("#removal", "is removed from 3 nodes").await;
        let held = scene.held(key).await;
        assert!(held.iter().all(Value::is_null), "{text}: {held:?}");
        browser
            .says("#owner", "No node that answered holds it")
            .await;
        let clear =
            "for (const id of ['removal', 'owner']) document.getElementById(id).replaceChildren()";
        browser.run(clear, json!([])).await;
    }
    browser
        .says("#lookup-note", "begins or ends with a space")
        .await;

    let submit = "document.querySelector('input[value=base64]').checked = true;
        document.getElementById('lookup-key').value = 'not base64!';
        document.getElementById('lookup-form').requestSubmit()";
    browser.run(submit, json!([])).await;
    browser.says("#lookup-note", "not base64").await;
    let invalid = "const input = document.getElementById('lookup-key');
        return input.getAttribute('aria-invalid') === 'true' && input.getAttribute('aria-describedby') === 'lookup-note'";
    assert_eq!(browser.run(invalid, json!([])).await, true);
    scene.console_is_silent("").await;
}
