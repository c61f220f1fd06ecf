//! The daemon dies, at every durable step and at any moment; its disk and outputs fail under it. Then it is judged
//! by the far side's books and by consumers that take and delete, all of which outlive it. It is never asked.

mod damage;
#[path = "../simulation/dice.rs"]
#[allow(dead_code, reason = "shared: the simulation uses what this suite does not")]
mod dice;
#[path = "../daemon/house.rs"]
mod house;
mod judge;
mod kills;
mod onward;
mod pairs;
#[path = "../daemon/place.rs"]
mod place;
#[allow(dead_code, reason = "shared: the power cuts use what this suite does not")]
mod scene;
mod steps;
mod syncs;

/// Prints a line that is seen even if the test passes: seeds, figures, and what was not run.
fn say(line: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "{line}").expect("standard error is there");
}
