//! What systemd is told (`Type=notify`, `sd_notify(3)`), so that `systemctl start` ends when we listen. Nobody is told anything
//! where there is no `NOTIFY_SOCKET`.

use sd_notify::NotifyState;

/// Requests are answered from now on.
pub(crate) fn ready() {
    tell(&NotifyState::Ready);
}

/// No new requests, please; those in flight end.
pub(crate) fn stopping() {
    tell(&NotifyState::Stopping);
}

/// Its failure is no reason to stop serving; systemd has a time limit of its own.
fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        log::warn!("the service manager cannot be told {state}: {error}");
    }
}
