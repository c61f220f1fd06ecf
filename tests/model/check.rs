//! How a model is explored, and how its rest is judged.
//!
//! Each model is a [`Protocol`]: a state, what goes on by itself, and what may be done to it.
//! [`verify`] lets `stateright` look at every state for a broken claim, then walks the same states once more to show
//! that no run goes round for ever. Both together turn "whatever has come to rest is in order", which is a claim about
//! single states, into "every run comes to rest in order": a check of `eventually` that cycles and joins cannot fool.
//! [`refute`] demands the opposite: a protocol with a known defect must break the claim that forbids it.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::io::Write;

use meshd::domain::step::Step;
use stateright::{Checker, HasDiscoveries, Model, Property};

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event<O> {
    /// The daemon takes a durable step; the number says on which message, chunk or file where there are several.
    Does(Step, usize),
    /// Anything else: in the daemon's memory, at MESH, at the consumer, or a harm.
    Other(O),
}

/// A part of the protocol, small enough to be looked at whole.
pub(crate) trait Protocol: Sized + Clone + Debug + Send + Sync + 'static {
    /// Everything that is remembered anywhere.
    type State: Clone + Debug + PartialEq + Eq + Hash + Send + Sync + 'static;
    /// What happens beside durable steps.
    type Other: Copy + Debug + PartialEq + Send + Sync + 'static;
    /// For the report.
    const NAME: &'static str;

    /// Where every run begins.
    fn start(&self) -> Self::State;
    /// What goes on by itself: a run is at rest when this offers nothing.
    fn progress(&self, state: &Self::State, events: &mut Vec<Event<Self::Other>>);
    /// What may be done to it, as often as the bounds allow. Nothing may rely on it.
    fn harm(&self, state: &Self::State, events: &mut Vec<Event<Self::Other>>);
    /// The state after `event`.
    fn after(&self, state: &Self::State, event: Event<Self::Other>) -> Self::State;
    /// What must hold.
    fn claims() -> Vec<Property<Checked<Self>>>;
}

/// A [`Protocol`] as `stateright` takes it.
#[derive(Debug, Clone)]
pub(crate) struct Checked<P>(pub(crate) P);

impl<P: Protocol> Checked<P> {
    /// Nothing more happens unless harm is done.
    pub(crate) fn is_at_rest(&self, state: &P::State) -> bool {
        let mut events = Vec::new();
        self.0.progress(state, &mut events);
        events.is_empty()
    }
}

impl<P: Protocol> Model for Checked<P> {
    type State = P::State;
    type Action = Event<P::Other>;

    fn init_states(&self) -> Vec<Self::State> {
        vec![self.0.start()]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        self.0.progress(state, actions);
        self.0.harm(state, actions);
    }

    fn next_state(&self, last: &Self::State, action: Self::Action) -> Option<Self::State> {
        Some(self.0.after(last, action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        P::claims()
    }
}

/// Looks at every state; every claim must hold and every run must end. Returns the durable steps that were taken.
pub(crate) fn verify<P: Protocol>(protocol: P) -> BTreeSet<Step> {
    let model = Checked(protocol);
    let checker = model.clone().checker().spawn_bfs().join();
    checker.assert_properties();
    say(&format!("model {}: states {}, depth {}", P::NAME, checker.unique_state_count(), checker.max_depth()));

    let walk = walk(&model);
    assert!(!walk.goes_round, "{}: some run goes on for ever", P::NAME);
    assert_eq!(walk.states, checker.unique_state_count(), "{}: both explorations see the same states", P::NAME);
    walk.steps
}

/// The protocol with a defect must break `claim`.
pub(crate) fn refute<P: Protocol>(protocol: P, claim: &'static str) {
    let told = format!("model {} with {protocol:?}", P::NAME);
    let broken = HasDiscoveries::AnyOf(BTreeSet::from([claim]));
    let checker = Checked(protocol).checker().finish_when(broken).spawn_bfs().join();
    let Some(path) = checker.discovery(claim) else {
        panic!("{told}: no run breaks {claim:?}");
    };
    say(&format!("{told}: {claim:?} is broken after {} events", path.into_actions().len()));
}

/// The protocol with a defect must have a run without end.
pub(crate) fn refute_end<P: Protocol>(protocol: P) {
    let told = format!("model {} with {protocol:?}", P::NAME);
    assert!(walk(&Checked(protocol)).goes_round, "{told}: every run ends");
    say(&format!("{told}: some run goes on for ever"));
}

/// What a walk through all states met.
struct Walk {
    states: usize,
    goes_round: bool,
    steps: BTreeSet<Step>,
}

/// Depth first, remembering which states lie on the path behind: meeting one of those again is a cycle.
fn walk<P: Protocol>(model: &Checked<P>) -> Walk {
    let start = model.0.start();
    let mut on_path = HashMap::from([(fingerprint(&start), true)]);
    let mut walk = Walk { states: 1, goes_round: false, steps: BTreeSet::new() };
    let mut path = vec![branch(model, start)];

    while let Some((mark, state, events)) = path.last_mut() {
        let Some(event) = events.pop() else {
            on_path.insert(*mark, false);
            path.pop();
            continue;
        };
        if let Event::Does(step, _) = event {
            walk.steps.insert(step);
        }
        let next = model.0.after(state, event);
        match on_path.entry(fingerprint(&next)) {
            Entry::Occupied(seen) => walk.goes_round |= *seen.get(),
            Entry::Vacant(new) => {
                new.insert(true);
                walk.states += 1;
                path.push(branch(model, next));
            }
        }
    }
    walk
}

type Branch<P> = (u64, <P as Protocol>::State, Vec<Event<<P as Protocol>::Other>>);

fn branch<P: Protocol>(model: &Checked<P>, state: P::State) -> Branch<P> {
    let mut events = Vec::new();
    model.actions(&state, &mut events);
    (fingerprint(&state), state, events)
}

fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Past the harness's capture: the size of what was looked at is part of the result.
fn say(line: &str) {
    writeln!(std::io::stdout().lock(), "{line}").expect("standard output takes a line");
}
