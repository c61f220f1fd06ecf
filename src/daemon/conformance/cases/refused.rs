//! Cases 701, 702, 704 and 705: what MESH refuses is understood, and not asked for again and again (mesh-api 9.4).

use super::PLAIN;
use crate::daemon::conformance::scene::{Ran, Scene, Short};
use crate::domain::fault::{Class, Fault, FaultCode};
use crate::domain::ids::MessageId;
use crate::ports::inbox::Inbox as _;
use crate::ports::outbox::Unsent;

/// 701: tried once more with a fresh token (mesh-api 4.4), then left; and with the right password all is well.
pub(in crate::daemon::conformance) fn forbidden(scene: &Scene) -> Ran<'_> {
    Box::pin(async {
        let Err(fault) = scene.impostor.handshake().await else {
            return Err(Short::NotRun("the endpoint accepts a wrong password: there is no 403 to handle".into()));
        };
        expect(&fault, FaultCode::MeshAuth, Class::Transient)?;
        let statuses = scene.watch.statuses();
        if statuses != [403, 403] {
            return Err(Short::Failed(format!(
                "two requests with a 403 each are expected; the answers are {statuses:?}"
            )));
        }
        scene.saw(format!("understood as {fault}; tried once more with a fresh token, and left alone"));
        scene.first_page(&scene.own).await?;
        scene.saw("the mailbox goes on with its own password");
        Ok(())
    })
}

/// 702: refused for good, and not sent again.
pub(in crate::daemon::conformance) fn no_such_recipient(scene: &Scene) -> Ran<'_> {
    Box::pin(async {
        let nobody = format!("NOBODY{}", &unknown_id(scene)[..10]);
        match scene.try_to_post(&scene.own, &nobody, PLAIN).await? {
            Err(Unsent::Refused(fault)) => {
                expect(&fault, FaultCode::SendRefused, Class::Permanent)?;
                once(scene, 417)?;
                scene.saw(format!("understood as {fault}; it was not sent again"));
                Ok(())
            }
            Ok(_) => Err(Short::NotRun("the endpoint took a message for a mailbox that nobody has: no 417".into())),
            Err(Unsent::NotTaken(fault) | Unsent::Unknown(fault)) => {
                Err(Short::Failed(format!("a refusal for good is expected, and not: {fault}")))
            }
            Err(Unsent::Unreadable(why)) => Err(Short::Failed(why)),
        }
    })
}

/// 704: gone for now, and nothing else stops for it.
pub(in crate::daemon::conformance) fn not_found(scene: &Scene) -> Ran<'_> {
    Box::pin(async {
        let id = MessageId::new(unknown_id(scene)).map_err(|error| Short::Failed(error.to_string()))?;
        let Err(fault) = scene.own.fetch(&id, 1).await else {
            return Err(Short::Failed("the endpoint serves a message that nobody sent".into()));
        };
        expect(&fault, FaultCode::MsgGone, Class::Transient)?;
        once(scene, 404)?;
        scene.saw(format!("understood as {fault}: for now, and of this message alone; it was not asked for again"));
        scene.first_page(&scene.own).await?;
        scene.saw("the mailbox goes on");
        Ok(())
    })
}

/// 705: gone for good.
pub(in crate::daemon::conformance) fn gone(scene: &Scene) -> Ran<'_> {
    Box::pin(async {
        let posted = scene.post(scene.sender(), scene.id(), PLAIN).await?;
        scene.receive(&scene.own, &posted).await?;
        let again = scene.own.fetch(&posted.id, 1).await;
        match (again, scene.watch.statuses().last()) {
            (Err(fault), Some(410)) => {
                expect(&fault, FaultCode::MsgGone, Class::Permanent)?;
                scene.saw(format!("understood as {fault}: for good; it was not asked for again"));
                Ok(())
            }
            (Ok(_), _) => Err(Short::NotRun(
                "the endpoint goes on serving what was acknowledged (200), as NHS's sandbox does: no 410".into(),
            )),
            (Err(fault), _) => Err(Short::Failed(format!("a 410 is expected, and not: {fault}"))),
        }
    })
}

/// 32 hex digits that are no message's.
fn unknown_id(scene: &Scene) -> String {
    scene.chance.uuid().replace('-', "").to_ascii_uppercase()
}

fn expect(fault: &Fault, code: FaultCode, class: Class) -> Result<(), Short> {
    if (fault.code, fault.class) == (code, class) {
        return Ok(());
    }
    Err(Short::Failed(format!("{code} is expected, and not: {fault}")))
}

/// The case made one request, which had this answer.
fn once(scene: &Scene, status: u16) -> Result<(), Short> {
    let statuses = scene.watch.statuses();
    if statuses == [status] {
        return Ok(());
    }
    Err(Short::Failed(format!("one request with a {status} is expected; the answers are {statuses:?}")))
}
