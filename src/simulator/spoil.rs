//! What a scripted fault makes of an answer.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::SimulatorError;
use super::body::{Body, Spoil};
use super::connection::Line;
use super::faults::{Fault, Reply};
use super::requests::NoAnswer;

/// The answer that stands in the script.
pub(super) fn scripted(reply: &Reply) -> Result<Response<Body>, SimulatorError> {
    let mut response = Response::new(Body::whole(reply.body.clone()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    put_raw(response.headers_mut(), &reply.headers)?;
    Ok(response)
}

/// What a fault does to the right answer.
pub(super) fn spoil(fault: Fault, mut response: Response<Body>, line: &Line) -> Result<Response<Body>, NoAnswer> {
    let spoil = match fault {
        Fault::Reply(_) | Fault::Refuse | Fault::Delay(_) => return Ok(response),
        Fault::LoseReply => {
            line.reset();
            return Err(NoAnswer::Scripted);
        }
        Fault::CutWire { after } => {
            line.cut_after(after);
            return Ok(response);
        }
        Fault::CloseWire { after } => {
            line.close_after(after);
            return Ok(response);
        }
        Fault::CorruptWire { at } => {
            line.corrupt(at);
            return Ok(response);
        }
        Fault::Trickle { piece, every } => {
            line.trickle(piece, every);
            return Ok(response);
        }
        Fault::Twice => {
            line.double();
            return Ok(response);
        }
        Fault::Raw(bytes) => {
            line.replace(bytes);
            return Ok(response);
        }
        Fault::Headers(raw) => {
            put_raw(response.headers_mut(), &raw)?;
            return Ok(response);
        }
        Fault::Body { bytes, declared_gzip } => {
            response.headers_mut().remove(CONTENT_ENCODING);
            if declared_gzip {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            *response.body_mut() = Body::whole(bytes);
            return Ok(response);
        }
        Fault::ContentLength(difference) => {
            let length = response.body().length().saturating_add_signed(difference);
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            return Ok(response.map(Body::with_false_length));
        }
        Fault::Cut { after } => {
            line.reset();
            Spoil::Cut { after }
        }
        Fault::Stall { after, lasting } => Spoil::Stall { after, lasting },
        Fault::Drip { piece, every } => Spoil::Drip { piece, every },
    };
    Ok(response.map(|body| body.spoilt(spoil)))
}

fn put_raw(map: &mut HeaderMap, raw: &[(String, Vec<u8>)]) -> Result<(), SimulatorError> {
    for (name, value) in raw {
        map.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value)?);
    }
    Ok(())
}
