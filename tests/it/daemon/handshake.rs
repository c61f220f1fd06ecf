//! When the daemon shakes hands: at the start and daily, never more than hourly, remembered across restarts.

use super::*;
use crate::daemon::calls::{Call, count};

#[tokio::test]
async fn a_handshake_is_remembered_across_restarts_orderly_or_not() {
    let scene = Scene::new(Kind::Strict).await;
    for round in 0..4 {
        let sent = scene.send(&["plain=100"]);
        let daemon = scene.place.start();
        scene.wait_for_published(&daemon, &sent);
        scene.wait_until_empty(&daemon);
        if round == 1 {
            daemon.kill();
        } else {
            daemon.stop_in_order();
        }
    }
    let report = scene.sandbox.report().await;
    assert_eq!(count(&report, &Call::Handshake), 1, "one, the first start's: {}", report["calls"]);
    assert_eq!(report["refused"], serde_json::json!({}));
}
