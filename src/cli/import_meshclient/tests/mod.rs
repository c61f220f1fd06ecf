mod keystores;
mod mistakes;
mod whole;

use std::path::{Path, PathBuf};

use super::*;

/// Of all keystores that `tests/fixtures/meshclient/make` made.
const PASSWORD: &str = "synthetic-1";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/meshclient").join(name)
}
