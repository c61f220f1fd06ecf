//! Case 601: of 600 messages 500 are received, then a list, then 100 (mesh-api 11).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use crate::daemon::conformance::scene::{Letter, PAGE, Posted, Ran, Scene, Short};
use crate::domain::ids::MessageId;
use crate::ports::inbox::{Encoding, Listing};

const MESSAGES: usize = 600;
const LETTER: Letter = Letter { length: 1_000, encoding: Encoding::Plain };
/// Between two looks, and how many, before the page is taken to be as full as it gets.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
const LOOKS: usize = 6;

pub(in crate::daemon::conformance) fn pages(scene: &Scene) -> Ran<'_> {
    Box::pin(async {
        let waiting = scene.waiting(&scene.own).await?.len();
        if waiting > 0 {
            return Err(Short::NotRun(format!(
                "messages that are not of this run wait in the mailbox ({waiting}): its pages would be theirs"
            )));
        }
        let mut letters = BTreeMap::new();
        for _ in 0..MESSAGES {
            let posted = scene.post(scene.sender(), scene.id(), LETTER).await?;
            letters.insert(posted.id.clone(), posted);
        }
        for expected in [usize::from(PAGE), MESSAGES - usize::from(PAGE)] {
            let listing = page(scene, expected).await?;
            receive_page(scene, &listing, &mut letters).await?;
            scene.saw(format!(
                "a list named {expected} messages; each was downloaded once and acknowledged directly after"
            ));
        }
        match scene.waiting(&scene.own).await?.len() {
            0 => {
                scene.saw("the last list is empty");
                Ok(())
            }
            more => Err(Short::Failed(format!("{more} messages wait after the last acknowledge"))),
        }
    })
}

/// A page with as many messages as there should be; MESH's list may lag.
async fn page(scene: &Scene, expected: usize) -> Result<Listing, Short> {
    let mut listing = scene.first_page(&scene.own).await?;
    for _ in 1..LOOKS {
        if listing.ids.len() == expected {
            return Ok(listing);
        }
        sleep(LOOK_AGAIN).await;
        listing = scene.first_page(&scene.own).await?;
    }
    let count = listing.ids.len();
    if count == expected {
        Ok(listing)
    } else {
        Err(Short::Failed(format!("the list names {count} messages where {expected} are to be")))
    }
}

/// Each message, once, in the order of the list.
async fn receive_page(
    scene: &Scene,
    listing: &Listing,
    letters: &mut BTreeMap<MessageId, Posted>,
) -> Result<(), Short> {
    if listing.ids.iter().any(|id| !letters.contains_key(id)) {
        return Err(Short::NotRun("mail that is not of this run came meanwhile: it is left alone".into()));
    }
    for posted in listing.ids.iter().filter_map(|id| letters.remove(id)) {
        scene.collect(&scene.own, &posted).await?;
    }
    Ok(())
}
