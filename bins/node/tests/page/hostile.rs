//! Keys that an attacker chose in order to inject markup into the page.

use serde_json::json;

use crate::scene::Scene;
use crate::support::until;

const MARKUP: &[u8] =
    b"<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>";

#[tokio::test]
#[ignore = "needs Chromium: deploy/browser/install"]
async fn keys_are_text_whatever_is_in_them() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    let keys: [(&[u8], &str); 5] = [
        (MARKUP, std::str::from_utf8(MARKUP).unwrap()),
        // Bytes that are no UTF-8 are shown in base64.
        (b"\xFF\xFE\0binary\x80", "//4AYmluYXJ5gA== base64"),
        ("user:\u{202E}gnp.exe".as_bytes(), "user:\\u{202e}gnp.exe"),
        (b"two\nlines", "two\\u{a}lines"),
        (b"plain", "plain"),
    ];
    // The sketch samples the gets, so there are many, and again until each is shown.
    for (key, shown) in keys {
        until(shown, async || {
            scene.many_gets(scene.node(), key).await;
            let texts = browser.texts("#hot-table tbody th").await;
            texts
                .iter()
                .any(|text| text.strip_prefix("Find ") == Some(shown))
        })
        .await;
    }
    let script = "return [document.querySelectorAll('img, iframe, object, main script').length, document.title]";
    let told = browser.run(script, json!([])).await;
    assert_eq!(told[0], 0);
    assert!(!told[1].as_str().unwrap().contains("owned"));

    // Any key of the table can be copied into the form, and the answer about it is shown as text,
    // too.
    for (at, shown) in [
        (MARKUP, std::str::from_utf8(MARKUP).unwrap()),
        (keys[1].0, keys[1].1),
    ] {
        let script = "Array.from(document.querySelectorAll('#hot-table tbody button'))
            .find((button) => button.textContent === `Find ${arguments[0]}`).click()";
        browser.run(script, json!([shown])).await;
        browser
            .says("#owner", &format!("{shown} of scores is owned by"))
            .await;
        browser.says("#owner", "hold").await;
        assert!(scene.held(at).await.iter().any(|held| !held.is_null()));
    }
    browser.picture("hostile-keys").await;
    let count = "return document.querySelectorAll('img').length";
    assert_eq!(browser.run(count, json!([])).await, 0);
    scene.console_is_silent("").await;

    // If a future change inserted text as markup or code, the policy would still refuse it.
    for script in [
        "document.body.innerHTML = '<b>x</b>'",
        "document.createElement('img').setAttribute('onerror', 'document.title = 1')",
        "document.createElement('script').textContent = 'document.title = 1'",
    ] {
        let tried =
            format!("try {{ {script}; return 'taken'; }} catch (error) {{ return error.name; }}");
        assert_eq!(
            browser.run(&tried, json!([])).await,
            "TypeError",
            "{script}"
        );
    }
}
