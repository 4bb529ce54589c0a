//! Three nodes, their origin, and a browser that shows the page of the first one.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::support::client::escape;
use crate::support::{Client, Cluster, Node, Origin, Setup, until};

pub(crate) struct Scene {
    pub(crate) browser: Browser,
    pub(crate) cluster: Cluster,
    pub(crate) origin: Origin,
    pub(crate) client: Client,
}

impl Scene {
    /// The nodes and the browser, and the page as it is once the node has answered.
    pub(crate) async fn start() -> Self {
        let scene = Self::with("").await;
        scene.open().await;
        scene.browser.says("#verdict", "3 of 3 nodes up").await;
        scene
    }

    /// The same, without opening the page. `tables` are more tables of the configuration.
    pub(crate) async fn with(tables: &str) -> Self {
        let origin = Origin::of_everything().await;
        let mut setup = Setup::of(&origin).group("ttl = \"1h\"\nhot-copies = \"rate\"");
        setup.tables = tables.into();
        Self {
            browser: Browser::start().await,
            cluster: Cluster::start(3, &setup).await,
            origin,
            client: Client::new(),
        }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.cluster.nodes[0]
    }

    pub(crate) async fn open(&self) {
        let url = format!("http://{}/", self.node().admin);
        self.browser.open(&url).await;
    }

    /// Asks a node for a key so often that it keeps a copy, whoever owns the key: that takes a
    /// hundred gets in a minute.
    pub(crate) async fn many_gets(&self, node: &Node, key: &[u8]) {
        for _ in 0..150 {
            assert_eq!(self.client.key(node, key).await.status, 200);
        }
    }

    /// What the nodes hold of a key, as the node of the page tells it.
    pub(crate) async fn held(&self, key: &[u8]) -> Vec<Value> {
        let target = format!("/held?group=scores&key={}", escape(key));
        let told = self.client.get(self.node().admin, &target).await.json();
        let nodes = told["nodes"].as_array().unwrap().iter();
        nodes.map(|node| node["held"].clone()).collect()
    }

    /// The class and the texts of a node's row in the table of nodes.
    pub(crate) async fn row(&self, node: &Node) -> (String, Vec<String>) {
        let script = "const row = Array.from(document.querySelectorAll('#nodes tbody tr'))
              .find((row) => row.cells[0].textContent.includes(arguments[0]));
            return row ? [row.className, ...Array.from(row.cells, (cell) => cell.textContent)] : []";
        let told = self.browser.run(script, json!([node.ring_name()])).await;
        let mut texts = told.as_array().unwrap().iter();
        let mut next = || texts.next().map(|text| text.as_str().unwrap().to_owned());
        let class = next().unwrap_or_default();
        (class, std::iter::from_fn(next).collect())
    }

    /// Fails if the console has any message that is not expected.
    pub(crate) async fn console_is_silent(&self, expected: &str) {
        let mut told = self.browser.console().await;
        told.retain(|line| expected.is_empty() || !line.contains(expected));
        assert!(told.is_empty(), "{told:#?}");
    }

    /// Waits until the script, the body of a function, gives true.
    pub(crate) async fn holds(&self, what: &str, script: &str, arguments: Value) {
        until(what, async || {
            self.browser.run(script, arguments.clone()).await == true
        })
        .await;
    }
}
