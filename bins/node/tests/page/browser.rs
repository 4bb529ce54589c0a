//! Headless Chromium, by the WebDriver protocol. That is HTTP and JSON, so the client of the other
//! tests is enough, without another crate.

use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::config::localhost_ports;
use crate::support::{PATIENCE, Process, until};

/// Keys without a letter, as WebDriver writes them.
pub(crate) const TAB: char = '\u{E004}';
pub(crate) const ENTER: char = '\u{E007}';
pub(crate) const ESCAPE: char = '\u{E00C}';

/// A browser with one window, which ends with the test.
pub(crate) struct Browser {
    client: reqwest::Client,
    session: String,
    // Fields are dropped in this order: the profile is in use until the browser has ended.
    _driver: Process,
    _chromium: Process,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = program("chromium", profile.path());
        command.args([
            "--headless=new",
            // Chromium refuses to run as root with its sandbox, and CI's containers run as root.
            // It loads nothing but pages of this test.
            "--no-sandbox",
            "--disable-gpu",
            // Containers have a small /dev/shm.
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            "--log-level=3",
            "--no-proxy-server",
            "--remote-debugging-port=0",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg("about:blank");
        let chromium = Process::spawn("chromium", command);
        let told = profile.path().join("DevToolsActivePort");
        let mut devtools = String::new();
        until("Chromium listens", async || {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            // The second line is written last.
            let complete = text.lines().nth(1).is_some();
            devtools = text.lines().next().unwrap_or_default().to_owned();
            complete
        })
        .await;

        let port = localhost_ports(1)[0];
        let mut command = program("chromedriver", profile.path());
        command.arg(format!("--port={port}")).stdout(Stdio::null());
        let driver = Process::spawn("chromedriver", command);
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let server = format!("http://127.0.0.1:{port}");
        until("chromedriver listens", async || {
            client.get(format!("{server}/status")).send().await.is_ok()
        })
        .await;
        let mut browser = Self {
            client,
            session: String::new(),
            _driver: driver,
            _chromium: chromium,
            _profile: profile,
        };
        // The browser is started here and not by the driver, so that it ends with the test even
        // where the driver is killed.
        let options = json!({ "debuggerAddress": format!("127.0.0.1:{devtools}") });
        let wanted =
            json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let body = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = browser
            .ask(Method::POST, &format!("{server}/session"), &body)
            .await;
        let id = session["sessionId"].as_str().unwrap();
        browser.session = format!("{server}/session/{id}");
        browser.resize(1400).await;
        browser
    }

    async fn ask(&self, method: Method, url: &str, body: &Value) -> Value {
        let request = self.client.request(method.clone(), url);
        let request = match method {
            Method::GET => request,
            _ => request
                .header("content-type", "application/json")
                .body(body.to_string()),
        };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let mut told: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert!(status.is_success(), "{method} {url}: {told}");
        told["value"].take()
    }

    async fn post(&self, command: &str, body: &Value) -> Value {
        let url = format!("{}/{command}", self.session);
        self.ask(Method::POST, &url, body).await
    }

    pub(crate) async fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url })).await;
    }

    /// Runs the body of a function in the page, with arguments, and gives what it returns.
    pub(crate) async fn run(&self, script: &str, arguments: Value) -> Value {
        let body = json!({ "script": script, "args": arguments });
        self.post("execute/sync", &body).await
    }

    /// The text of the first element of a CSS selector; nothing where there is none.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.textContent ?? ''";
        let text = self.run(script, json!([selector])).await;
        text.as_str().unwrap().to_owned()
    }

    /// The texts of all elements of a CSS selector.
    pub(crate) async fn texts(&self, selector: &str) -> Vec<String> {
        let script =
            "return Array.from(document.querySelectorAll(arguments[0]), (e) => e.textContent)";
        let texts = self.run(script, json!([selector])).await;
        let texts = texts.as_array().unwrap().iter();
        texts.map(|text| text.as_str().unwrap().into()).collect()
    }

    /// Waits until an element's text contains this.
    pub(crate) async fn says(&self, selector: &str, part: &str) {
        let what = format!("{selector} says {part:?}");
        until(&what, async || self.text(selector).await.contains(part)).await;
    }

    /// Presses keys, one after the other.
    pub(crate) async fn press(&self, keys: impl IntoIterator<Item = char>) {
        let strokes = keys.into_iter().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        });
        let strokes: Vec<_> = strokes.collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.post("actions", &json!({ "actions": [keyboard] }))
            .await;
    }

    /// A command of the Chrome DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("goog/cdp/execute", &body).await
    }

    /// The size of the page in CSS pixels. A window itself cannot be as narrow as a phone.
    pub(crate) async fn resize(&self, width: u32) {
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        let command = "Emulation.setDeviceMetricsOverride";
        self.devtools(command, &metrics).await;
    }

    /// Sets a preference of the system, such as `prefers-color-scheme` to `dark`.
    pub(crate) async fn prefer(&self, feature: &str, value: &str) {
        let features = json!({ "features": [{ "name": feature, "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &features).await;
    }

    /// The messages of the console since the last call: exceptions, violations of the content
    /// security policy, requests that failed.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({ "type": "browser" })).await;
        let entries = entries.as_array().unwrap().iter();
        let told = entries.map(|entry| format!("{}: {}", entry["source"], entry["message"]));
        told.collect()
    }

    /// Leaves a picture of the whole page in `target/page`.
    pub(crate) async fn picture(&self, name: &str) {
        let metrics = self.devtools("Page.getLayoutMetrics", &json!({})).await;
        let size = &metrics["cssContentSize"];
        let clip =
            json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let asked = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", &asked).await;
        let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/page");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }
}

/// A program of the system, with nothing of the environment but where programs are.
fn program(name: &str, home: &Path) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("HOME", home);
    command.stdin(Stdio::null());
    command
}
