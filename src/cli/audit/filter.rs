//! Which records `meshd audit` is asked for.

use std::path::PathBuf;

use anyhow::anyhow;
use chrono::{DateTime, NaiveDate, NaiveTime};
use clap::Args;
use clap::builder::PossibleValuesParser;

use secrecy::ExposeSecret as _;

use super::super::Failure;
use super::super::message::mailbox;
use crate::config::{Loaded, SecretRef};
use crate::domain::digest::ContentDigest;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::nhs_number::NhsNumber;
use crate::domain::operator::Operator;
use crate::domain::time::Timestamp;
use crate::ports::trace::{By, MOST_PATIENTS, Search};
use crate::store::journal::event::KINDS;

/// All that are given must hold.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// About this message, in all its lives
    #[arg(long, value_name = "MESSAGE-ID", value_parser = message)]
    message: Option<MessageId>,
    /// About the message of this delivery, in all its lives
    #[arg(long, value_name = "DELIVERY")]
    delivery: Option<DeliveryId>,
    /// That name this mailbox; with a message or a delivery, only that mailbox's
    #[arg(long, value_name = "MAILBOX", value_parser = mailbox)]
    mailbox: Option<MailboxId>,
    /// Of what this user did by hand, by their number; or `daemon`, of what it did by itself
    #[arg(long, value_name = "USER", value_parser = by)]
    by: Option<By>,
    /// Written then or later: a day, or a time as 2026-01-05T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Written before
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Of this kind; may be given several times
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS), hide_possible_values = true)]
    kind: Vec<String>,
    /// That say that a message concerns one of these people: a file of NHS numbers, one on a line
    #[arg(long, value_name = "FILE")]
    nhs_number_file: Option<PathBuf>,
    /// From this record on
    #[arg(long, value_name = "SEQUENCE", default_value_t = 1)]
    from: u64,
    /// Up to this record
    #[arg(long, value_name = "SEQUENCE")]
    to: Option<u64>,
}

impl Filter {
    /// As the daemon is asked.
    pub(super) fn search(self, loaded: &Loaded) -> Result<Search, Failure> {
        let Self { message, delivery, mailbox, by, since, until, kind: kinds, nhs_number_file, from, to } = self;
        let patients = nhs_number_file.map_or(Ok(Vec::new()), |file| patients(file, loaded))?;
        Ok(Search { delivery, message, mailbox, by, since, until, kinds, patients, from, to, ..Search::default() })
    }
}

/// The keyed digests under which the journal knows these people. The numbers stay here; whoever cannot read `keys.hmac`
/// cannot ask.
pub(in crate::cli) fn patients(file: PathBuf, loaded: &Loaded) -> Result<Vec<ContentDigest>, Failure> {
    digests(&numbers(file)?, loaded)
}

/// The keyed digests of these numbers, under all keys that the journal was written with.
pub(in crate::cli) fn digests(numbers: &[NhsNumber], loaded: &Loaded) -> Result<Vec<ContentDigest>, Failure> {
    let key = loaded.digest_key().map_err(Failure::Configuration)?;
    Ok(numbers.iter().flat_map(|number| key.each_patient(number)).collect())
}

/// The numbers in a file that nobody else may read.
pub(in crate::cli) fn numbers(file: PathBuf) -> Result<Vec<NhsNumber>, Failure> {
    let name = file.display().to_string();
    let text = SecretRef::File(file).read(None).map_err(anyhow::Error::from)?;
    let numbers = NhsNumber::list(text.expose_secret()).map_err(|error| anyhow!("{name}: {error}"))?;
    match numbers.len() {
        1..=MOST_PATIENTS => Ok(numbers),
        0 => Err(anyhow!("{name}: expected NHS numbers, one on a line").into()),
        many => Err(anyhow!("{name}: {many} numbers, and at most {MOST_PATIENTS} can be looked for").into()),
    }
}

fn message(text: &str) -> Result<MessageId, String> {
    MessageId::new(text).map_err(|error| error.to_string())
}

fn by(text: &str) -> Result<By, String> {
    match text {
        "daemon" => Ok(By::Daemon),
        number => {
            let user = number.parse().map_err(|_| "expected a user's number, as `id -u` prints it, or `daemon`")?;
            Ok(By::Operator(Operator(user)))
        }
    }
}

pub(in crate::cli) fn time(text: &str) -> Result<Timestamp, String> {
    let moment = DateTime::parse_from_rfc3339(text).map(|moment| moment.timestamp_millis());
    let day =
        |text: &str| text.parse::<NaiveDate>().map(|day| day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
    let read = moment.or_else(|_| day(text));
    read.map(Timestamp).map_err(|_| "expected a day in UTC, 2026-01-05, or a time, 2026-01-05T09:30:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_times_and_users_are_read() {
        assert_eq!(time("2026-01-05"), Ok(Timestamp(1_767_571_200_000)));
        assert_eq!(time("2026-01-05T09:30:12.5Z"), Ok(Timestamp(1_767_605_412_500)));
        assert_eq!(time("2026-01-05T10:30:12.5+01:00"), Ok(Timestamp(1_767_605_412_500)));
        assert!(time("yesterday").is_err());
        assert_eq!(by("daemon"), Ok(By::Daemon));
        assert_eq!(by("1000"), Ok(By::Operator(Operator(1000))));
        assert!(by("alice").is_err());
    }
}
