//! [`Directory`] over HTTPS: which mailboxes an organisation has (mesh-api 6.8).

use http::{HeaderMap, Method};

use super::client::{Mailbox, Request};
use super::status::Call;
use super::{body, wire};
use crate::domain::fault::{Fault, FaultCode};
use crate::ports::directory::{Directory, Endpoints, Wanted};
use crate::ports::inbox::Answer;

impl Directory for Mailbox {
    fn look_up<'a>(&'a self, wanted: &'a Wanted) -> Answer<'a, Endpoints> {
        Box::pin(async move {
            // MESH compares the code as it is, and has capitals.
            let organisation = wanted.organisation.to_ascii_uppercase();
            let (organisation, workflow) = (wire::part(&organisation), wire::part(wanted.workflow.as_str()));
            let path = format!("/messageexchange/endpointlookup/{organisation}/{workflow}");
            let request = Request { call: Call::LookUp, method: Method::GET, path, headers: HeaderMap::new() };
            let response = self.call(&request).await?;
            let body = body::whole(response, wire::LARGEST_ANSWER).await.unwrap_or_default();
            let found = wire::endpoints(&body).ok_or_else(|| {
                let problem = "look up: the answer is not what mesh-api 6.8 describes";
                Fault::dependency(FaultCode::MeshProtocol, self.dependency().clone(), problem)
            })?;
            Ok(Endpoints { found, age_seconds: 0 })
        })
    }
}
