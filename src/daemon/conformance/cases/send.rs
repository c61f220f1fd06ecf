//! Cases 201, 202 and 502: what we send is taken, and arrives (mesh-api 6.6, 11).

use super::{CHUNKED, GZIP, PLAIN};
use crate::daemon::conformance::scene::{Letter, Ran, Scene, Short};
use crate::ports::outbox::{Outbox as _, TrackedState};

pub(in crate::daemon::conformance) fn plain(scene: &Scene) -> Ran<'_> {
    Box::pin(sends(scene, PLAIN))
}

pub(in crate::daemon::conformance) fn gzip(scene: &Scene) -> Ran<'_> {
    Box::pin(sends(scene, GZIP))
}

pub(in crate::daemon::conformance) fn chunked(scene: &Scene) -> Ran<'_> {
    Box::pin(sends(scene, CHUNKED))
}

/// Sends, checks the inbox, asks once what became of it, and has its recipient collect it where that is ours.
async fn sends(scene: &Scene, letter: Letter) -> Result<(), Short> {
    let posted = scene.post(&scene.own, &scene.partner_id, letter).await?;
    scene.saw(format!("MESH took a message of {} bytes, and gave it an id", posted.length));
    let waiting = scene.waiting(&scene.own).await?.len();
    scene.saw(format!("the inbox was checked after it; messages that wait: {waiting}"));
    let tracked = scene.own.track(&posted.id).await;
    let tracked = tracked.map_err(|fault| Short::Failed(format!("the tracking: {fault}")))?;
    match tracked.map(|tracked| tracked.state) {
        Some(TrackedState::Accepted | TrackedState::Acknowledged) => {
            scene.saw("MESH says that it is accepted");
        }
        Some(state @ (TrackedState::Uploading | TrackedState::Undeliverable)) => {
            return Err(Short::Failed(format!("MESH says that it is {state:?}")));
        }
        None => return Err(Short::Failed("MESH does not know the message that it took".into())),
    }
    match scene.recipient() {
        Some(recipient) => scene.receive(recipient, &posted).await.map(drop),
        None => {
            scene.saw("its recipient is not ours: whether it reads there is for them to say");
            Ok(())
        }
    }
}
