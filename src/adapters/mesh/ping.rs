//! A sign of life (mesh-api 4.1): it needs no token, changes nothing, and shows what the time is there.

use std::time::Duration;

use super::environment::BaseUrl;
use super::status::{self, Call};
use super::transport;
use crate::adapters::http::Client;
use crate::domain::fault::Fault;
use crate::domain::ids::Name;
use crate::domain::time::Timestamp;

/// The path that NHS's own client asks on every environment.
const PATH: &str = "/messageexchange/_ping";

/// MESH's clock, where the answer has it. Any answer will do: it came from there.
pub async fn ping(
    http: &Client,
    base: &BaseUrl,
    dependency: &Name,
    limit: Duration,
) -> Result<Option<Timestamp>, Fault> {
    let sending = http.current().await.get(format!("{base}{PATH}")).timeout(limit).send();
    let answer = sending.await.map_err(|error| transport::fault(Call::Ping, &error, dependency))?;
    Ok(status::date(answer.headers()))
}
