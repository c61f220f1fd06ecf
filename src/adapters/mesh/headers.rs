//! The header names of the MESH API (mesh-api 5), in lower case as v2 sends them.

/// Version 2 of the API: the one media type sent as `Accept` (mesh-api 3).
pub const ACCEPT_V2: &str = "application/vnd.mesh.v2+json";

macro_rules! names {
    ($($name:ident = $text:literal,)+) => {
        $(#[doc = concat!("`", $text, "`")] pub const $name: &str = $text;)+
    };
}

names! {
    MESSAGE_ID = "mex-messageid",
    MESSAGE_TYPE = "mex-messagetype",
    FROM = "mex-from",
    TO = "mex-to",
    WORKFLOW_ID = "mex-workflowid",
    CHUNK_RANGE = "mex-chunk-range",
    TOTAL_CHUNKS = "mex-total-chunks",
    FILE_NAME = "mex-filename",
    LOCAL_ID = "mex-localid",
    SUBJECT = "mex-subject",
    PARTNER_ID = "mex-partnerid",
    CONTENT_CHECKSUM = "mex-content-checksum",
    CONTENT_ENCRYPTED = "mex-content-encrypted",
    CONTENT_COMPRESSED = "mex-content-compressed",
    CONTENT_TYPE = "mex-content-type",
    STATUS_CODE = "mex-statuscode",
    STATUS_EVENT = "mex-statusevent",
    STATUS_DESCRIPTION = "mex-statusdescription",
    STATUS_SUCCESS = "mex-statussuccess",
    STATUS_TIMESTAMP = "mex-statustimestamp",
    LINKED_MESSAGE_ID = "mex-linkedmsgid",
    CLIENT_VERSION = "mex-clientversion",
    OS_NAME = "mex-osname",
    OS_VERSION = "mex-osversion",
    OS_ARCHITECTURE = "mex-osarchitecture",
}
