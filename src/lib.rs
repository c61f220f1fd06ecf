//! meshd: MESH mail is kept before it is acknowledged, and comes out once.
//!
//! MESH is the NHS's store-and-forward service for clinical documents, results and bulk data.
//! meshd polls a trust's mailboxes, keeps each message sealed on stable storage, acknowledges it, runs it through
//! pipelines, and publishes it to output folders. What cannot be handled is set aside with its reason.
//!
//! # Promises
//!
//! | | Promise | Owner |
//! |---|---|---|
//! | I1 | **Acknowledged means kept.** MESH hears "acknowledged" only after payload and journal record are durable | [`store`], by the type [`ports::store::Accepted`] |
//! | I2 | **Once.** A message's outputs appear once across crashes and retries; if the output's own disk loses power, at most once more, reported as `OUT-REPUBLISHED`. A send happens at most once, or is shown as unknown | [`publish`], [`send`] |
//! | I3 | **Flat.** No payload is ever whole in memory; memory does not grow with a message or the queue | [`ports::spool`] |
//! | I4 | **One end.** Each accepted message reaches exactly one disposition, and the journal says which and why | [`store`] |
//! | I5 | **An outage is not poison.** What the world did never becomes a dead letter: it waits, or is held | [`domain::fault`], [`work`] |
//! | I6 | **No contagion.** One mailbox's fault, flood or giant does not stop another | [`receive`], [`work`], [`publish`] |
//! | I7 | **No room, no intake.** Without room we stop fetching; we never accept and then shed | [`receive::admission`] |
//! | I8 | **Discreet.** No patient data in logs, journal, file names, process arguments, panic texts | [`domain::ids::Sensitive`] |
//! | I9 | **The index may burn.** It can be deleted at any time and is made again from journal and spool | [`store`] |
//! | I10 | **No scapegoats.** Nothing is quarantined that did not itself fail | [`work`], [`store`] |
//!
//! # The house
//!
//! ```text
//!             ┌───────────── receive ◀── MESH (poll, fetch, acknowledge)
//!             │ bytes            │ facts
//!             ▼                  ▼
//!  store:   spool             journal ──────▶ index (sled)      one committer makes all three durable
//!          (age, sealed)     (hash chain)     what is due, dead, held
//!             │                  ▲ settle        │ lease
//!             ▼                  │               ▼
//!            work ── pipelines ──┼── publish ──▶ output folders (staged, then renamed; .ctl last)
//!                                └── send ─────▶ MESH (from a command, or from OUT)
//! ```
//!
//! | Layer | Module | What it is |
//! |---|---|---|
//! | 0 | [`domain`] | values and pure rules: no I/O, no clock, no tokio |
//! | 1 | [`ports`] | what the inside asks of the outside, readable in one sitting |
//! | 2 | [`receive`] | poller, admission, receiver |
//! | 2 | [`pipeline`] | TOML to compiled rules: match, then decompress, decrypt, discard, expect, route |
//! | 2 | [`publish`] | staging, naming, the two layouts, markers; pairs out of `OUT` |
//! | 2 | [`send`] | what goes out to MESH, once: its rules, its pieces, one message of each mailbox at a time |
//! | 2 | [`deadletter`] | the reasons, and what an operator does about each |
//! | 2 | [`work`] | lanes, batches, the table of faults, suspects |
//! | 3 | [`store`] | **the only code that owns stable state**: disk, journal, spool, index, committer, recovery |
//! | 3 | [`adapters`] | one folder or file per outside thing: `mesh`, `http`, `changes` in folders |
//! | 3 | `simulator` | the far side of MESH on loopback; feature `simulator`, never in a release build |
//! | 4 | [`config`] | the file, checked: every mistake in one run |
//! | 4 | [`daemon`] | builds the parts, runs them, listens to signals, and tells how it is: control socket, HTTP, status files |
//! | 5 | [`cli`] | one file per command |
//!
//! Edges go down only; within layer 2 only [`work`] names its siblings. `tests/architecture.rs` fails on any other.
//!
//! What cannot happen is as important: no acknowledge without `Accepted`, but of what a trial made up itself
//! ([`ports::trial`]); no path made from anything a sender wrote; no wall clock in a wait; no code outside [`store`] and
//! [`publish`] that syncs or renames.
//!
//! # Departures from the plan of the house, and why
//!
//! - **The committer's syncs follow each other** (spool, then journal) instead of running side by side: see
//!   [`store::committer`]. Side by side, a power cut could leave a durable record of a payload that is not there.
//! - **The index is made durable lazily**, at most a second behind: every record it lacks is applied again at start.
//! - **Seen ids live in sorted files beside the journal**, not in sled: with a million queued and 3.5 million of them
//!   sled took 4 to 10 seconds to open and some 200 MB of memory, the files a third of a second and 10 MB, with a fifth
//!   of the disk or less (`tests/bench/run sled-reopen`).
//! - **Recovery of staged outputs is ordinary work**: a delivery with staged files is leased like any other, and
//!   [`work`] finishes it. There is one path that publishes, not two.
//! - **What is dead or held has a budget of its own, for each mailbox and in all** (`set_aside`), beside that of parked
//!   mail: a flood that no pipeline takes closes its own mailbox long before it fills the disk of all.
//! - **The reserve takes reports only**, and a closed mailbox asks for no list by workflow: nothing parks yet, so there
//!   is no answer to wait for.
//! - **A send is a delivery that goes the other way**, and has no ledger beside the deliveries: it is sealed, leased, set
//!   aside, replayed, held for a court and purged by the same code, and of its own has a queue and a record of how far it
//!   came ([`domain::sending`]). Whatever is proven of deliveries after a crash, a restore or the loss of the index is
//!   so of sends.
//! - **A pair in `OUT` is kept as a send too**, sealed, before its first request: what goes out can change no more, and is
//!   replayed, held and proven like all else. The pair itself stays until the outcome is known.
//! - **What a pipeline sends on is queued by the record that publishes its output**, not by one beside its settlement: a
//!   commit is several records, and a power cut may leave the first of them. The settlement follows.
//! - **No try to send is the last one**: what only MESH fails at waits without an end and raises an alarm, where a MESH
//!   client gives up after a few (I5).
//! - **A send without an answer is asked for by its local id**, which MESH calls deprecated, and only if that id is ours
//!   alone: where its sender chose one, a person decides.
//! - **A payload that a lying drive lost is held** (`SPOOL-LOST`), and the daemon starts: one lost payload must not
//!   keep it from all other mail.
//! - **A message at which only MESH fails stands aside** after three failures: it is tried once a poll, warned of by its
//!   own five-day clock, and stands before no other mail.
//! - **A reload changes no mailbox, poll or service**, and says which keys need a restart, which takes seconds and loses
//!   nothing. It changes everything else, or nothing.
//! - **The log has no level below debug**, and no line of another library below a warning: the trace of an HTTP library
//!   quotes headers.
//! - **`[features] allow` has only words with an effect**: none about synthetic NHS numbers, which are looked for like
//!   any other.
//! - **The unit wants the mounts of its outputs and does not require them** (`systemd/output.conf`): one share that is
//!   away must not keep all other mail from coming in.
//! - **The outputs fence a restored state, not only its journal**: it publishes to no root before the root was adopted, and
//!   from then on its twin, if that still runs, publishes to it no more.
//! - **A backup is copied by another process** than the daemon, which only keeps what is copied in place: see
//!   [`store::backup`].
//! - **Ends of retention, ages and due times go by the store's own time**, which moves on with the monotonic clock and,
//!   from one run to the next, by a day at most: a wall clock that is a year ahead for an hour purges nothing.
//! - **Where order is strict, the store hands out one delivery at a time**, so that no batch can be half in order.
//! - **A lane pays for what it took after it took it**: what a batch costs is known only once it is leased.
//! - **People are looked for in the journal with the HMAC key**, by the command itself: no group may search for patients,
//!   and no number reaches the daemon.
//! - **A later journal says what a restored state may go on with**, not a head: a head cannot say what was settled.
//! - **What `meshd conformance` made up itself is acknowledged without the store**: it keeps nothing, runs with the daemon
//!   stopped, and a type says whose a message is ([`ports::trial`]).
//! - **A poll's five minutes count from its first list**, so that a long drain does not halve the rate of polls.

pub mod adapters;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod deadletter;
pub mod domain;
pub mod pipeline;
pub mod ports;
pub mod publish;
pub mod receive;
pub mod send;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod store;
pub mod work;
