//! Random sequences of everything that happens to a store, against the naive one that keeps a list.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use model::SpanBatch;
use store::{AppendError, Replay, Request, Store, StoreOptions};
use testkit::disk::{Call, Fault};
use testkit::reference::ReferenceStore;
use testkit::rng::Rng;
use testkit::spans::{normal_form, trace_id};

use crate::ledger::{Cases, DATA, World, seal};
use crate::{Regenerate, body};

/// Traces are drawn from so many, so that spans are overwritten often.
const TRACES: u64 = 40;
const STEPS_MAX: usize = 24;
const SEQUENCES: u64 = 40;

#[derive(Debug, Clone, Copy)]
enum Step {
    Append {
        seed: u64,
        spans: u64,
    },
    Rotate,
    Seal,
    Reopen,
    /// The power fails at a call of this kind, counted from now, while a batch is appended.
    Crash {
        call: Call,
        number: u64,
        seed: u64,
    },
    LoseManifest,
    /// Somebody keeps nothing but the days.
    KeepSegments,
    MoveClock {
        forward: bool,
        by_ns: u64,
    },
}

fn random_step(rng: &mut Rng) -> Step {
    let calls = [Call::Write, Call::Sync, Call::Rename, Call::SyncDirectory, Call::RemoveFile, Call::Create];
    match rng.below(13) {
        0..=4 => Step::Append { seed: rng.next_u64(), spans: rng.below(40) },
        5 => Step::Rotate,
        6 => Step::Seal,
        7 => Step::Reopen,
        8 | 9 => Step::Crash { call: *rng.pick(&calls), number: 1 + rng.below(4), seed: rng.next_u64() },
        10 => Step::LoseManifest,
        11 => Step::KeepSegments,
        _ => Step::MoveClock { forward: rng.chance(2), by_ns: rng.below(40 * 60 * 1_000_000_000) },
    }
}

struct Run {
    world: World,
    store: Option<Store>,
    reference: ReferenceStore,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut run = Run { world: World::new(seed), store: None, reference: ReferenceStore::default() };
        run.open();
        run
    }

    fn open(&mut self) {
        let options = StoreOptions { memtable_bytes_max: 60_000, ..self.world.options() };
        self.store = Some(Store::open(options, &Regenerate).expect("it opens"));
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("there is a store between steps")
    }

    fn append(&self, seed: u64, spans: u64) -> (SpanBatch, Result<(), AppendError>) {
        let body = body(seed, spans);
        let batch = Regenerate.decode(1, 99, &body).unwrap();
        let (send, answer) = mpsc::channel();
        let request = Request { format: 1, received_unix_nano: 99, body, batch: batch.clone() };
        self.store().append(request, Box::new(move |result| drop(send.send(result))));
        let answer = answer.recv_timeout(Duration::from_secs(30)).expect("every append is answered");
        (batch, answer)
    }

    /// Does a step; says what is wrong afterwards.
    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Append { seed, spans } => {
                let (batch, answer) = self.append(seed, spans);
                answer.map_err(|refusal| refusal.to_string())?;
                self.reference.append(batch);
            }
            Step::Rotate => drop(self.store().seal(Duration::ZERO)),
            Step::Seal => {
                if !seal(&self.world, self.store()) || self.store().stats().memtable_bytes > 0 {
                    return Err("it does not seal".to_owned());
                }
            }
            Step::Reopen => {
                self.store = None;
                self.open();
            }
            Step::Crash { call, number, seed } => return self.crash(call, number, seed),
            Step::LoseManifest => {
                self.store = None;
                // A store is never without, so there is nothing to lose before the first is written.
                self.world.disk.put(format!("{DATA}/manifest.json"), b"lost").unwrap();
                self.open();
            }
            Step::KeepSegments => {
                seal(&self.world, self.store());
                self.store = None;
                let others = |(path, _): &(PathBuf, u64)| !path.starts_with(format!("{DATA}/days"));
                for (path, _) in self.world.disk.files().into_iter().filter(others) {
                    self.world.disk.remove(path).unwrap();
                }
                self.open();
            }
            Step::MoveClock { forward: true, by_ns } => self.world.clock.advance(by_ns),
            Step::MoveClock { forward: false, by_ns } => self.world.clock.step_back(by_ns),
        }
        if self.matches() { Ok(()) } else { Err("the store differs from the reference".to_owned()) }
    }

    /// One batch is on its way when the power fails: if it was not acknowledged it may be there or not.
    fn crash(&mut self, call: Call, number: u64, seed: u64) -> Result<(), String> {
        self.world.disk.fail_next(call, number, Fault::Crash);
        self.store().seal(Duration::ZERO);
        let (batch, answer) = self.append(seed, 1 + seed % 20);
        if answer.is_ok() {
            self.reference.append(batch.clone());
        }
        self.store = None;
        self.world = self.world.power_cut(seed);
        self.open();
        if answer.is_ok() || self.matches() {
            return if self.matches() { Ok(()) } else { Err("an acknowledged batch is lost".to_owned()) };
        }
        self.reference.append(batch);
        if self.matches() { Ok(()) } else { Err("neither with nor without the last batch".to_owned()) }
    }

    fn matches(&self) -> bool {
        let snapshot = self.store().snapshot();
        (0..TRACES).map(trace_id).all(|id| {
            let batches = snapshot.trace(id).expect("nothing is damaged");
            let spans = batches.iter().flat_map(SpanBatch::spans);
            let forms: BTreeMap<_, _> = spans.map(|span| (span.key(), normal_form(span))).collect();
            forms == self.reference.trace(id)
        })
    }
}

fn run(seed: u64, steps: &[Step]) -> Result<(), String> {
    let mut run = Run::new(seed);
    steps
        .iter()
        .enumerate()
        .try_for_each(|(place, &step)| run.step(step).map_err(|wrong| format!("{wrong} after step {place}, {step:?}")))
}

/// Leaves steps out as long as it still goes wrong.
fn shrink(seed: u64, mut steps: Vec<Step>) -> Vec<Step> {
    let mut place = 0;
    while place < steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(place);
        if run(seed, &fewer).is_err() { steps = fewer } else { place += 1 }
    }
    steps
}

#[test]
fn random_histories_equal_the_reference() {
    // Guarantees that after any sequence of appends, rotations, seals, restarts, power cuts, lost manifests and logs, and steps of the
    // clock, each span is there in the last record that was acknowledged.
    let cases = Cases::from_environment();
    let cases = Arc::new(cases);
    let numbers = cases.numbers(SEQUENCES * if cases.all() { 20 } else { 1 }, SEQUENCES);
    cases.run(&numbers, |number| {
        let seed = cases.seed << 32 | number;
        let mut rng = Rng::new(seed);
        let steps: Vec<Step> = (0..STEPS_MAX).map(|_| random_step(&mut rng)).collect();
        if let Err(wrong) = run(seed, &steps) {
            panic!("{wrong}; smallest: {:#?}", shrink(seed, steps));
        }
    });
}
