//! The configurations that the image and the Compose cluster come with.

use crate::engine::{attempt, checkout};

#[tokio::test]
async fn the_shipped_configurations_are_accepted() {
    for file in ["deploy/images/gaggle.toml", "deploy/compose/gaggle.toml"] {
        let file = checkout().join(file);
        let check = [
            env!("CARGO_BIN_EXE_gaggle-node"),
            "check",
            "--config",
            file.to_str().unwrap(),
        ];
        attempt(&check, crate::PATIENCE)
            .await
            .unwrap_or_else(|failure| panic!("{failure}"));
    }
}
