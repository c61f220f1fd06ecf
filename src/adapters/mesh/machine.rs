//! What the handshake tells MESH about this machine and this program (mesh-api 5.1, 6.2).

use http::HeaderValue;

/// The values of the handshake's headers, and of `User-Agent` on every call.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    pub(super) client_version: HeaderValue,
    pub(super) os_name: HeaderValue,
    pub(super) os_version: HeaderValue,
    pub(super) os_architecture: HeaderValue,
    pub(super) user_agent: HeaderValue,
}

impl Machine {
    /// Asks the kernel.
    pub(super) fn this() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let kernel = rustix::system::uname();
        let [name, release, architecture] =
            [kernel.sysname(), kernel.release(), kernel.machine()].map(|text| text.to_string_lossy().into_owned());
        Self {
            client_version: value(&format!("meshd=={version}")),
            os_name: value(&name),
            os_version: value(&release),
            os_architecture: value(&architecture),
            user_agent: value(&format!("meshd;{version};N/A;{architecture};{name};{release}")),
        }
    }
}

/// Printable ASCII as it is; all else as `?`, since MESH refuses control characters (mesh-api 5.1).
fn value(text: &str) -> HeaderValue {
    let printable: String = text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    HeaderValue::try_from(printable).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_kernels_cannot_break_the_handshake() {
        assert_eq!(value("6.1\u{7}\n-ü"), "6.1??-?");
        assert_eq!(Machine::this().os_name, "Linux");
    }
}
