//! Which MESH service `PrimaryURL` means (mesh-api 1).

use crate::adapters::mesh::{BaseUrl, Environment};

/// Hosts within HSCN, which are being withdrawn, and the services they lead to.
const WITHIN_HSCN: [(&str, Environment, &str); 3] = [
    ("mesh-sync.national.ncrs.nhs.uk", Environment::Live, "live"),
    ("msg.int.spine2.ncrs.nhs.uk", Environment::Int, "int"),
    ("msg.dep.spine2.ncrs.nhs.uk", Environment::Dep, "dep"),
];

/// What every request's path begins with; some write it into the URL.
const PATH: &str = "messageexchange";

/// Where mail comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Service {
    /// One that meshd knows.
    National {
        /// Its word in the configuration.
        word: &'static str,
        /// Where meshd finds it.
        url: BaseUrl,
        /// The old client found it within HSCN.
        was_within_hscn: bool,
    },
    /// Another, at this address.
    Custom(BaseUrl),
    /// Nobody said, or what was said is no address that meshd takes.
    Unknown,
}

impl Service {
    /// Do its operating rules bind us? What is not known is taken for one whose do.
    pub(super) fn is_national(&self) -> bool {
        match self {
            Self::National { .. } | Self::Unknown => true,
            Self::Custom(_) => false,
        }
    }

    /// The service at a URL, whose scheme may be missing, and after whose host a path may stand.
    pub(super) fn at(text: &str) -> Self {
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !["", PATH].contains(&path.trim_matches('/')) {
            return Self::Unknown;
        }
        let host = authority.strip_suffix(":443").unwrap_or(authority).to_ascii_lowercase();
        for (within_hscn, environment, word) in WITHIN_HSCN {
            let url = environment.base_url();
            let was_within_hscn = host == within_hscn;
            if was_within_hscn || url.as_str().strip_prefix("https://") == Some(&host) {
                return Self::National { word, url, was_within_hscn };
            }
        }
        BaseUrl::parse(&format!("{scheme}://{authority}")).map_or(Self::Unknown, Self::Custom)
    }
}
