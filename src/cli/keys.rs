//! `meshd keys`

mod rewrap;
mod rotate;
mod status;

use std::path::{Path, PathBuf};

use age::x25519::Identity;
use anyhow::Context as _;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::{Context, Failure};
use crate::domain::digest::hex;
use crate::store::disk::write_secret;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make an age identity, or a key for the journal's digests, in a new file that only its owner reads
    Generate(Generate),
    /// Make another age identity beside the present one, and say how it takes its place
    Rotate(rotate::Rotate),
    /// Have the running daemon seal again what only retired identities open
    Rewrap(rewrap::Rewrap),
    /// Tell for whom the kept payloads are sealed, and which identities are needed yet
    Status(status::Status),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The recipient that is printed is public: put it into `recipients` of each mailbox.
Keep a second identity elsewhere, and name its recipient too: without an identity no payload
opens again.

Examples:
  meshd keys generate --output /etc/meshd/identity
  meshd keys generate --hmac --output /etc/meshd/hmac
  meshd keys generate --output key
  systemd-creds encrypt --name=meshd-age-identity key \\
    /etc/credstore.encrypted/meshd-age-identity")]
pub(super) struct Generate {
    /// Make the key of the journal's digests instead
    #[arg(long)]
    hmac: bool,
    /// The file to make; it must not exist
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Keys {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Generate(Generate { hmac: true, output }) => {
                let mut key = Zeroizing::new([0; 32]);
                SystemRandom::new().fill(&mut *key).context("ask the system for randomness")?;
                save(&output, &Zeroizing::new(format!("{}\n", hex(&*key))))?;
                context.out.good(format_args!("wrote a key for the journal's digests to {}", output.display()))
            }
            Self::Generate(Generate { hmac: false, output }) => {
                let recipient = make_identity(&output)?;
                context.out.line(recipient)
            }
            Self::Rotate(rotate) => rotate.run(context),
            Self::Rewrap(rewrap) => rewrap.run(context),
            Self::Status(status) => status.run(context),
        }
    }
}

/// Makes an age identity in a new file. Its recipient is returned.
fn make_identity(path: &Path) -> Result<String, anyhow::Error> {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let text = Zeroizing::new(format!("# public key: {recipient}\n{}\n", identity.to_string().expose_secret()));
    save(path, &text)?;
    Ok(recipient)
}

fn save(path: &Path, text: &str) -> Result<(), anyhow::Error> {
    write_secret(path, text).with_context(|| format!("make {}", path.display()))
}
