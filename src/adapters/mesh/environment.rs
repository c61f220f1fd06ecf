//! Where MESH is (mesh-api 1). Pure.
//!
//! The endpoints on the old health network are left out: they are deprecated, and their certificates name the host in a
//! way that rustls does not accept (mesh-api 2).

use std::fmt;

/// A MESH to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Environment {
    /// Production.
    Live,
    /// Integration, the path to live.
    Int,
    /// Deployment.
    Dep,
    /// Another one: a sandbox or a gateway.
    Custom(BaseUrl),
}

impl Environment {
    /// Its base URL.
    pub fn base_url(&self) -> BaseUrl {
        match self {
            Self::Live => BaseUrl("https://mesh-sync.spineservices.nhs.uk".into()),
            Self::Int => BaseUrl("https://msg.intspineservices.nhs.uk".into()),
            Self::Dep => BaseUrl("https://msg.depspineservices.nhs.uk".into()),
            Self::Custom(url) => url.clone(),
        }
    }
}

/// Scheme, host and port of a MESH, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

/// Why a text is no base URL. The text is not repeated: someone may have written a password into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(&'static str);

impl BaseUrl {
    /// Checks a custom URL: https, or http to this machine only, and nothing after host and port but one `/`.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let url = reqwest::Url::parse(text).map_err(|_| InvalidUrl("this is not a URL"))?;
        let host = url.host_str().ok_or(InvalidUrl("this URL has no host"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl("credentials do not belong in a URL"));
        }
        // `links.next` starts at the root of the host (mesh-api 6.3), so a path could not be kept before it.
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidUrl("this goes on after host and port"));
        }
        match url.scheme() {
            "https" => (),
            "http" if is_loopback(host) => (),
            "http" => return Err(InvalidUrl("http is for this machine only")),
            _ => return Err(InvalidUrl("the scheme is neither https nor http")),
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The text, to put a path behind.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_environments_are_the_published_internet_endpoints() {
        for (environment, url) in [
            (Environment::Live, "https://mesh-sync.spineservices.nhs.uk"),
            (Environment::Int, "https://msg.intspineservices.nhs.uk"),
            (Environment::Dep, "https://msg.depspineservices.nhs.uk"),
        ] {
            assert_eq!(environment.base_url().as_str(), url);
            assert_eq!(BaseUrl::parse(url), Ok(environment.base_url()), "what we publish passes our own check");
        }
    }

    #[test]
    fn custom_urls_lose_their_slash_and_need_https_beyond_this_machine() {
        for (text, base) in [
            ("https://mesh.example/", Some("https://mesh.example")),
            ("HTTPS://MESH.example:8743", Some("https://mesh.example:8743")),
            ("http://127.0.0.1:8700", Some("http://127.0.0.1:8700")),
            ("http://localhost:8700/", Some("http://localhost:8700")),
            ("http://[::1]:8700", Some("http://[::1]:8700")),
            ("http://mesh.example", None),
            ("http://localhost.example", None),
            ("http://10.0.0.1", None),
            ("ftp://mesh.example", None),
            ("https://mesh.example/messageexchange", None),
            ("https://mesh.example?x=1", None),
            ("https://mesh.example#x", None),
            ("https://user:hunter2@mesh.example", None),
            ("mesh.example", None),
            ("", None),
        ] {
            let parsed = BaseUrl::parse(text);
            assert_eq!(parsed.as_ref().ok().map(BaseUrl::as_str), base, "{text}");
            if let Err(error) = parsed {
                assert!(!error.to_string().contains("hunter2"));
            }
        }
    }
}
