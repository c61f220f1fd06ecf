//! Cases 401, 402 and 501: what waits for us is listed, downloaded and acknowledged (mesh-api 6.3 to 6.5).

use super::{CHUNKED, GZIP, PLAIN};
use crate::daemon::conformance::collect::Collected;
use crate::daemon::conformance::scene::{Letter, Ran, Scene, Short};

pub(in crate::daemon::conformance) fn plain(scene: &Scene) -> Ran<'_> {
    Box::pin(async { receives(scene, PLAIN).await.map(drop) })
}

pub(in crate::daemon::conformance) fn gzip(scene: &Scene) -> Ran<'_> {
    Box::pin(async {
        match receives(scene, GZIP).await?.as_gzip {
            0 => Err(Short::NotRun("MESH served plain what was sent as gzip".into())),
            _ => Ok(()),
        }
    })
}

pub(in crate::daemon::conformance) fn chunked(scene: &Scene) -> Ran<'_> {
    Box::pin(async {
        match receives(scene, CHUNKED).await?.chunks {
            0 | 1 => Err(Short::NotRun("MESH served in one piece what was sent in several".into())),
            _ => Ok(()),
        }
    })
}

/// How it came.
async fn receives(scene: &Scene, letter: Letter) -> Result<Collected, Short> {
    let posted = scene.post(scene.sender(), scene.id(), letter).await?;
    let collected = scene.receive(&scene.own, &posted).await?;
    if scene.waiting(&scene.own).await?.contains(&posted.id) {
        return Err(Short::Failed("it is still listed after its acknowledge".into()));
    }
    scene.saw("it is listed no more");
    Ok(collected)
}
