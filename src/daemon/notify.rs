//! What the service manager hears (sd_notify(3)). Without one, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// Recovery is done: the daemon serves.
pub(super) fn ready() {
    send(&[NotifyState::Ready]);
}

/// The configuration is read anew; [`ready`] says that this is over.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "notify the service manager"),
    }
}

/// Nothing new is begun; what is in hand comes to its end.
pub(super) fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub(super) fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// Proof of progress: only the heartbeat sends it, after the store answered.
pub(super) fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// Within which time the service manager wants to hear [`watchdog`], if at all.
pub(super) fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "notify the service manager");
    }
}
