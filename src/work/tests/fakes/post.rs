//! Where messages that are sent on are taken in, in memory.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;

use super::{Calls, lock};
use crate::domain::ids::DeliveryId;
use crate::ports::operations::{Letter, Origin, Post, Posting, Told, Upload};
use crate::ports::store::{Halt, NotBroughtIn};

/// One that takes everything in, unless it is scripted not to.
pub(in crate::work::tests) struct FakePost {
    calls: Calls,
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    refusal: Option<NotBroughtIn>,
    panics: bool,
    taken: Vec<(Letter, Vec<u8>)>,
}

impl FakePost {
    pub(in crate::work::tests) fn new(calls: Calls) -> Self {
        Self { calls, shelf: Arc::default() }
    }

    /// Has everything refused from now on, or nothing.
    pub(in crate::work::tests) fn script(&self, refusal: Option<NotBroughtIn>) {
        lock(&self.shelf).refusal = refusal;
    }

    /// Has each payload panic on its way in.
    pub(in crate::work::tests) fn panic(&self) {
        lock(&self.shelf).panics = true;
    }

    /// What was taken in.
    pub(in crate::work::tests) fn taken(&self) -> Vec<(Letter, Vec<u8>)> {
        lock(&self.shelf).taken.clone()
    }
}

impl Post for FakePost {
    fn post(&self, posting: Posting) -> Told<'_, Result<Box<dyn Upload>, NotBroughtIn>> {
        let (calls, shelf) = (self.calls.clone(), Arc::clone(&self.shelf));
        async move {
            if let Some(why) = lock(&shelf).refusal.clone() {
                return Ok(Err(why));
            }
            let upload = Taking { calls, shelf, posting, bytes: Vec::new() };
            Ok(Ok(Box::new(upload) as Box<dyn Upload>))
        }
        .boxed()
    }
}

struct Taking {
    calls: Calls,
    shelf: Arc<Mutex<Shelf>>,
    posting: Posting,
    bytes: Vec<u8>,
}

impl Upload for Taking {
    fn write(&mut self, bytes: &[u8]) -> Result<Result<(), NotBroughtIn>, Halt> {
        let panics = lock(&self.shelf).panics;
        assert!(!panics, "scripted");
        self.bytes.extend_from_slice(bytes);
        Ok(Ok(()))
    }

    fn keep(self: Box<Self>, origin: Origin) -> Told<'static, Result<DeliveryId, NotBroughtIn>> {
        async move {
            let Self { calls, shelf, posting, bytes } = *self;
            let Origin::Onward(onward) = origin else { panic!("work sends on what came in") };
            assert_eq!(posting.length, bytes.len() as u64, "as many bytes come as were announced");
            calls.add(format!("send {} {}", onward.delivery, onward.output));
            let mut shelf = lock(&shelf);
            shelf.taken.push((posting.letter, bytes));
            Ok(Ok(DeliveryId(1_000 + shelf.taken.len() as u64)))
        }
        .boxed()
    }
}
