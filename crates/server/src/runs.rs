//! The runs there are, and by what names they are found.

mod wish;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;
use thiserror::Error;

use crate::dialect::{Conversation, Dialect, Head};
use crate::run::{Producer, Run, RunOptions, now};
pub(crate) use wish::{Digest, Owner, RunId, Wish};

/// The runs there are. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Runs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// How long a run stays after its end.
    age: Duration,
    /// What a run does that was not told otherwise.
    options: RunOptions,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    runs: HashMap<Arc<str>, Entry>,
    names: HashMap<Name, Arc<str>>,
    /// How many runs there have ever been: the order in which they are listed.
    begun: u64,
}

#[derive(Debug)]
struct Entry {
    run: Arc<Run>,
    number: u64,
    owner: Option<Owner>,
    digest: Digest,
    names: Vec<Called>,
}

/// A name of a run, and the run that had it before.
#[derive(Debug)]
struct Called {
    name: Name,
    before: Option<Arc<str>>,
}

/// By what a run is found, beside its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    /// An `Idempotency-Key`.
    Key(Option<Owner>, String),
    /// What a dialect calls it: a chat's id, a response's.
    Called(&'static str, Option<Owner>, String),
}

/// What a run is to be.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) wish: Wish,
    pub(crate) model: String,
    /// Whether the client asked for token counts.
    pub(crate) include_usage: bool,
    /// What the dialect in which it begins keeps of the request: a chat, a thread.
    pub(crate) conversation: Option<Conversation>,
    /// The dialect that its upstream speaks, to be passed on as it is.
    pub(crate) verbatim: Option<&'static dyn Dialect>,
}

/// What came of a wish for a run.
#[derive(Debug)]
pub(crate) enum Begun {
    New(Arc<Run>, Producer),
    /// It is there already: the wish was repeated.
    Joined(Arc<Run>),
}

/// Why there is no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum BeginError {
    #[error("there are as many runs as there may be; try again later")]
    TooMany,
    #[error(
        "another request has used this id or Idempotency-Key before: repeat that request, or take another"
    )]
    Taken,
    #[error("the run of this Last-Event-ID is gone; repeat the request without one for a new run")]
    Gone,
}

/// Some of an owner's runs, the newest first.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) runs: Vec<Arc<Run>>,
    /// What to ask for next; none at the end.
    pub(crate) next: Option<u64>,
}

impl Runs {
    /// How many there may be at once, those that ended and can still be read among them.
    const MOST: usize = 10_000;

    pub(crate) fn new(age: Duration, options: RunOptions) -> Self {
        Self(Arc::new(Shared {
            age,
            options,
            table: Mutex::default(),
        }))
    }

    /// What a run does that was not told otherwise.
    pub(crate) fn options(&self) -> RunOptions {
        self.0.options
    }

    /// Begins a run, or finds the one that the same wish began before.
    ///
    /// # Errors
    ///
    /// [`BeginError`]
    pub(crate) fn begin(&self, spec: Spec) -> Result<Begun, BeginError> {
        let verbatim = spec.verbatim;
        let (run, new) = self.enter(spec, |head, options| Run::new(head, options, verbatim))?;
        Ok(if new {
            let producer = Producer::of(&run);
            Begun::New(run, producer)
        } else {
            Begun::Joined(run)
        })
    }

    /// The same for a run that waits for whoever pushes into it: the run, and whether it is new.
    ///
    /// # Errors
    ///
    /// [`BeginError`]
    pub(crate) fn await_producer(&self, spec: Spec) -> Result<(Arc<Run>, bool), BeginError> {
        self.enter(spec, Run::pushed)
    }

    /// The run that this is a wish for, and whether it is new.
    fn enter(
        &self,
        spec: Spec,
        make: impl FnOnce(Head, RunOptions) -> Run,
    ) -> Result<(Arc<Run>, bool), BeginError> {
        let wish = &spec.wish;
        let mut table = self.table();
        if let Some(resumed) = wish.resumed() {
            let mut same = table.runs.values();
            let same = same.find(|entry| entry.digest == wish.digest && resumed.is_of(&entry.run));
            let same = same.ok_or(BeginError::Gone)?;
            return Ok((Arc::clone(&same.run), false));
        }
        let key = wish.key.clone().map(|key| Name::Key(wish.owner, key));
        if let Some(entry) = table.wished(wish.id.as_ref(), key.as_ref()) {
            return if entry.digest == wish.digest {
                Ok((Arc::clone(&entry.run), false))
            } else {
                Err(BeginError::Taken)
            };
        }
        if table.runs.len() >= Self::MOST && !table.make_room() {
            return Err(BeginError::TooMany);
        }
        let id: Arc<str> = match &wish.id {
            Some(id) => id.as_str().into(),
            None => new_id().into(),
        };
        let head = Head {
            id: Arc::clone(&id),
            model: spec.model,
            created: now(),
            include_usage: spec.include_usage,
            conversation: spec.conversation,
        };
        let run = Arc::new(make(head, wish.options.unwrap_or(self.0.options)));
        table.begun += 1;
        let entry = Entry {
            run: Arc::clone(&run),
            number: table.begun,
            owner: wish.owner,
            digest: wish.digest,
            names: Vec::new(),
        };
        table.runs.insert(Arc::clone(&id), entry);
        if let Some(key) = key {
            table.call(&id, key);
        }
        Ok((run, true))
    }

    /// From now on the run is found under what its dialect calls it, as the last of that name.
    pub(crate) fn call(
        &self,
        run: &Run,
        dialect: &'static dyn Dialect,
        owner: Option<Owner>,
        name: &str,
    ) {
        let name = Name::Called(dialect.name(), owner, name.to_owned());
        self.table().call(run.id(), name);
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Run>> {
        let table = self.table();
        table.runs.get(id).map(|entry| Arc::clone(&entry.run))
    }

    /// The last run that its dialect called so.
    pub(crate) fn called(
        &self,
        dialect: &'static dyn Dialect,
        owner: Option<Owner>,
        name: &str,
    ) -> Option<Arc<Run>> {
        let table = self.table();
        let name = Name::Called(dialect.name(), owner, name.to_owned());
        let id = table.names.get(&name)?;
        table.runs.get(id).map(|entry| Arc::clone(&entry.run))
    }

    /// The runs of one owner, below number `before`.
    pub(crate) fn of(&self, owner: Owner, before: Option<u64>, most: usize) -> Page {
        let table = self.table();
        let mut entries: Vec<&Entry> = table
            .runs
            .values()
            .filter(|entry| entry.owner == Some(owner))
            .filter(|entry| before.is_none_or(|before| entry.number < before))
            .collect();
        entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.number));
        let more = entries.len() > most;
        entries.truncate(most);
        Page {
            next: entries.last().filter(|_| more).map(|entry| entry.number),
            runs: entries.iter().map(|entry| Arc::clone(&entry.run)).collect(),
        }
    }

    /// Forgets a run, and by what it was found. Who reads it reads on.
    pub(crate) fn forget(&self, id: &str) {
        self.table().forget(id);
    }

    /// Forgets runs that ended long ago, and ends those whose producer is silent.
    pub(crate) fn sweep(&self) {
        let age = self.0.age;
        let mut table = self.table();
        let old: Vec<_> = table
            .runs
            .iter()
            .filter(|(_, entry)| entry.run.ended().is_some_and(|ended| ended >= age))
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for id in old {
            table.forget(&id);
        }
        let open: Vec<_> = table
            .runs
            .values()
            .map(|entry| Arc::clone(&entry.run))
            .collect();
        drop(table);
        for run in open {
            run.expire();
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The run that was begun under this id or this key.
    fn wished(&self, id: Option<&RunId>, key: Option<&Name>) -> Option<&Entry> {
        let by_id = id.and_then(|id| self.runs.get(id.as_str()));
        by_id.or_else(|| self.runs.get(self.names.get(key?)?))
    }

    fn call(&mut self, id: &Arc<str>, name: Name) {
        if let Some(entry) = self.runs.get_mut(id) {
            let before = self.names.insert(name.clone(), Arc::clone(id));
            entry.names.push(Called { name, before });
        }
    }

    fn forget(&mut self, id: &str) {
        let Some(entry) = self.runs.remove(id) else {
            return;
        };
        for Called { name, before } in entry.names {
            // A later run may have the name by now.
            if self.names.get(&name).is_none_or(|named| **named != *id) {
                continue;
            }
            // An upstream that refuses must not take from a conversation what was said in it before.
            match before.filter(|before| self.runs.contains_key(before)) {
                Some(before) => self.names.insert(name, before),
                None => self.names.remove(&name),
            };
        }
    }

    /// Whether the run that ended first could be forgotten.
    fn make_room(&mut self) -> bool {
        let oldest = self
            .runs
            .iter()
            .filter_map(|(id, entry)| Some((entry.run.ended()?, id)))
            .max()
            .map(|(_, id)| Arc::clone(id));
        oldest.inspect(|id| self.forget(id)).is_some()
    }
}

/// 128 bits that nobody guesses: who knows the id may read the run.
fn new_id() -> String {
    format!("run_{:032x}", rand::rng().random::<u128>())
}

#[cfg(test)]
mod tests;
