//! Which part of a list by mailbox and age is shown, and how to go on.

use clap::Args;

use super::message::{is_known, mailbox};
use super::{Context, Failure};
use crate::daemon::LARGEST_PAGE;
use crate::domain::ids::MailboxId;
use crate::ports::store::{Delivery, QueuePlace};

#[derive(Debug, Args)]
pub(super) struct Listing {
    /// Only of this mailbox
    #[arg(long, value_name = "MAILBOX", value_parser = mailbox)]
    pub(super) mailbox: Option<MailboxId>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=LARGEST_PAGE as i64))]
    count: u16,
    /// Only those behind this place, as the page before shows it
    #[arg(long, value_name = "PLACE")]
    pub(super) after: Option<QueuePlace>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Listing {
    pub(super) fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// An empty page may mean that no mailbox is called that.
    pub(super) fn check<T>(&self, context: &Context, page: &[T]) -> Result<(), Failure> {
        if page.is_empty() { is_known(context, self.mailbox.as_ref()) } else { Ok(()) }
    }

    /// Says how to go on behind a full page.
    pub(super) fn end<T>(
        &self,
        context: &mut Context,
        page: &[T],
        of: impl Fn(&T) -> &Delivery,
    ) -> Result<(), Failure> {
        match page.last().map(of) {
            Some(Delivery { mailbox, id, .. }) if page.len() == self.count() => {
                let last = QueuePlace { mailbox: mailbox.clone(), delivery: *id };
                context.out.line(format_args!("there may be more: --after {last}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}
