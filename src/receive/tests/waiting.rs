//! The clock of mail that waits at MESH for room.

use std::io;

use super::super::fakes::amount;
use super::*;

/// Keeps what is logged, a line each.
#[derive(Clone, Default)]
struct Lines(Log);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("unpoisoned").push(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const HOUR: Duration = Duration::from_secs(3600);

/// What is said of waits while the mailbox runs for so many hours: level and hours, in order.
async fn said(house: &mut House, hours: u32) -> Vec<(&'static str, u32)> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    house.lasting = HOUR * hours;
    house.run(1).await;
    let lines = lines.0.lock().expect("unpoisoned");
    let said = lines.iter().filter_map(|line| {
        let hours = line.split_once("hours=")?.1.split_whitespace().next()?.parse().ok()?;
        Some((if line.contains("ERROR") { "error" } else { "warn" }, hours))
    });
    said.collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_room_is_said_at_two_days_and_at_three_and_a_half() {
    let mut house = house(Limits { messages: 10, bytes: 1_000 }, 500, 900_000);
    house.offer(&[("A", Waiting::plain(&[7; 2_000]))]);
    house.store.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox()).or_default().queued = amount(1, 1);
    assert_eq!(said(&mut house, 47).await, []);
    assert_eq!(said(&mut house, 100).await, [("warn", 48), ("error", 84)], "a restart begins it anew");
}

#[tokio::test(start_paused = true)]
async fn a_message_at_which_mesh_fails_is_said_at_two_days_and_at_three_and_a_half() {
    let mut house = house(ROOMY, 500, 900_000);
    house.offer(&[("A", Waiting::plain(b"1"))]);
    house.mesh.stuck.lock().expect("unpoisoned").insert(id("A"), busy());
    assert_eq!(said(&mut house, 100).await, [("warn", 48), ("error", 84)]);
}

#[tokio::test(start_paused = true)]
async fn mail_before_a_closed_door_is_said_once_for_all() {
    let mut house = house(Limits { messages: 1, bytes: 1_000_000 }, 500, 900_000);
    house.offer(&[("A", Waiting::plain(b"1")), ("B", Waiting::plain(b"2"))]);
    house.store.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox()).or_default().queued = amount(1, 1);
    assert_eq!(said(&mut house, 100).await, [("warn", 48), ("error", 84)]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_door_without_mail_is_no_alarm() {
    let mut house = house(Limits { messages: 1, bytes: 1_000_000 }, 500, 900_000);
    house.store.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox()).or_default().queued = amount(1, 1);
    assert_eq!(said(&mut house, 100).await, []);
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_is_told_while_it_lasts() {
    let mut house = house(Limits { messages: 1, bytes: 1_000_000 }, 500, 900_000);
    house.offer(&[("A", Waiting::plain(b"1"))]);
    house.store.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox()).or_default().queued = amount(1, 1);
    let begun = house.stage.wall();
    house.lasting = HOUR * 30;
    house.run(1).await;
    let since = house.waits.of(&mailbox()).expect("it waits");
    assert!(since.since(begun) < HOUR, "from when it was first met, not from the last pass");
    house.store.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox()).or_default().queued = amount(0, 0);
    house.run(1).await;
    assert_eq!(house.waits.of(&mailbox()), None, "it was taken");
}
