//! The store under a simulated disk, clock and index, by seed.
//!
//! Each seed is one machine that lives through some dozens of commits while its power is cut at random steps, its syncs
//! fail, its process is killed, its clock is set, and its index is lost, rolled back or a little behind. A failing
//! seed is named; `MESHD_SEED=n cargo test --features simulator --test simulation` lives it again.
//!
//! Checked at every start, against the journal as read by other code: acknowledged means kept (I1), one end (I4),
//! nothing is sent or sent on twice (I2), the index may burn (I9), no scapegoats (I10), the chain verifies against every
//! head noted, the counters equal a recount.

mod dice;
mod hands;
mod model;
mod oracle;
mod sends;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

const SEEDS: u64 = 1_000;
const ROUNDS: u64 = 32;

#[test]
fn the_store_keeps_its_promises_whatever_happens() {
    if let Some(seed) = std::env::var("MESHD_SEED").ok().and_then(|text| text.parse().ok()) {
        world::World::new(seed).live(ROUNDS);
        return;
    }
    let next = AtomicU64::new(0);
    let [recoveries, moves, acts, bulk_acts, spared, posted] = [const { AtomicU64::new(0) }; 6];
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= SEEDS {
                        break;
                    }
                    let mut world = world::World::new(seed);
                    let lived = catch_unwind(AssertUnwindSafe(|| world.live(ROUNDS)));
                    assert!(lived.is_ok(), "seed {seed} fails: MESHD_SEED={seed} lives it again");
                    recoveries.fetch_add(world.recoveries, Ordering::Relaxed);
                    moves.fetch_add(world.moves, Ordering::Relaxed);
                    acts.fetch_add(world.acts, Ordering::Relaxed);
                    bulk_acts.fetch_add(world.bulk_acts, Ordering::Relaxed);
                    spared.fetch_add(world.spared, Ordering::Relaxed);
                    posted.fetch_add(world.at_mesh.len() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(recoveries.into_inner() > 3 * SEEDS, "the simulation hardly crashes any more");
    let acts = acts.into_inner();
    assert!(acts > 2 * SEEDS, "operators hardly do anything any more: {acts} acts");
    let bulk_acts = bulk_acts.into_inner();
    assert!(bulk_acts > SEEDS / 8, "bulk acts hardly do anything: {bulk_acts}");
    let posted = posted.into_inner();
    assert!(posted > SEEDS, "hardly anything is sent: {posted}");
    let moves = moves.into_inner();
    let spared = spared.into_inner();
    assert!(spared > SEEDS, "legal holds hardly keep anything any more: {spared} spared");
    assert!(moves > SEEDS / 4, "the simulation hardly moves any more: {moves} groups");
}
