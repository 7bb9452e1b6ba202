//! One dialect's log of a run. It is begun when somebody first wants it, with all that was said, and
//! kept up from then on; what nobody reads is never spelled.

use wellspring::event::{Event, EventType};
use wellspring::{AppendError, Cursor, End, Log, LogOptions, Reader, Replay, Retention, Start};

use super::part::{Ending, Part};
use crate::dialect::{Dialect, Head, Said, Speller};

#[derive(Debug)]
pub(super) struct Spelling {
    dialect: &'static dyn Dialect,
    speller: Box<dyn Speller>,
    log: Log,
    /// Whether the upstream speaks this dialect, too: then its own words are passed on, and ours are
    /// only needed for the end, where it does not tell that itself.
    verbatim: bool,
    /// The story up to some event, told in fewer: for all who join late, until it has grown much longer.
    replay: Option<Replay>,
}

impl Spelling {
    /// From this many events on a late joiner's replay is worth being told in fewer.
    const LONG: u64 = 32;
    /// The longest event of a replay, in bytes of text: what one event of a log may be, and no burden.
    const JOINED: usize = 16 * 1024;

    pub(super) fn new(dialect: &'static dyn Dialect, head: &Head, verbatim: bool) -> Self {
        let retention = Retention::default()
            .with_bytes(super::BYTES)
            .with_events(usize::MAX);
        // openai-python tries to parse every block once it has seen an id.
        let options = LogOptions::default()
            .with_ids(dialect.has_ids())
            .with_retention(retention);
        Self {
            dialect,
            speller: dialect.speller(head),
            log: Log::new(options),
            verbatim,
            replay: None,
        }
    }

    pub(super) fn is(&self, dialect: &'static dyn Dialect) -> bool {
        self.dialect.name() == dialect.name()
    }

    pub(super) fn is_verbatim(&self) -> bool {
        self.verbatim
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Spells one thing, unless the upstream's own words say it.
    pub(super) fn say(&mut self, said: &Said<'_>) -> Result<(), AppendError> {
        if self.verbatim && !matches!(said, Said::End(_)) {
            return Ok(());
        }
        let mut events = Vec::new();
        self.speller.spell(said, self.log.tail().next, &mut events);
        for event in &events {
            self.log.append(event)?;
        }
        Ok(())
    }

    /// Passes on an event of an upstream that speaks this dialect.
    pub(super) fn repeat(&mut self, event_type: &str, data: &str) -> Result<(), AppendError> {
        let data = self.speller.repeat(event_type, data, self.log.tail().next);
        // One `data:` line an event. In JSON a line break can only stand where a space can.
        let data = if data.contains('\n') {
            data.replace('\n', " ").into()
        } else {
            data
        };
        let mut event = Event::new(data);
        if event_type != "message"
            && let Ok(event_type) = EventType::new(event_type)
        {
            event = event.with_type(event_type);
        }
        self.log.append(&event).map(|_| ())
    }

    /// All that was said in one document, if the dialect has one.
    pub(super) fn whole(&self) -> Option<String> {
        self.speller.whole()
    }

    /// Nothing more will be said. However it ended, that was told: readers need not come back.
    pub(super) fn close(&self) {
        self.log.close(End::Complete);
    }

    /// A reader. From the beginning of a story that is long it is told `parts` in fewer events.
    pub(super) fn read<'p>(
        &mut self,
        head: &Head,
        from: From,
        parts: impl Iterator<Item = &'p Part>,
        ending: Option<&Ending>,
    ) -> Reader {
        let epoch = self.log.epoch();
        let start = match from {
            From::Beginning if self.is_worth_merging() => {
                return self.replayed(head, parts, ending).into();
            }
            // Before the first event: a reader from here is told when the run has outgrown what is
            // kept of it, where one from the earliest event would not notice.
            From::Beginning => Start::After(Cursor::start(epoch)),
            From::Now => Start::Tail,
            From::Number(next) => Start::After(Cursor { epoch, next }),
            From::Id(start) => start,
        };
        self.log.read(start).into()
    }

    fn is_worth_merging(&self) -> bool {
        let tail = self.log.tail().next;
        // What was dropped is only told of by the log itself.
        let whole = self.log.len() as u64 == tail;
        self.dialect.merges() && !self.verbatim && whole && tail >= Self::LONG
    }

    /// What was told last, and what came since from the log itself, if that is little.
    fn replayed<'p>(
        &mut self,
        head: &Head,
        parts: impl Iterator<Item = &'p Part>,
        ending: Option<&Ending>,
    ) -> Replay {
        let tail = self.log.tail().next;
        if let Some(replay) = &self.replay
            && tail - replay.next() < Self::LONG
        {
            return replay.clone();
        }
        let replay = self.replay(head, parts, ending);
        self.replay.insert(replay).clone()
    }

    /// Tells the story anew with neighbours joined. Beside it a second speller tells it as it was told
    /// the first time, which says what number each event has that stands for several.
    fn replay<'p>(
        &self,
        head: &Head,
        parts: impl Iterator<Item = &'p Part>,
        ending: Option<&Ending>,
    ) -> Replay {
        let mut telling = Telling {
            replay: Replay::new(&self.log),
            joined: self.dialect.speller(head),
            single: self.dialect.speller(head),
            told: 0,
            events: Vec::new(),
        };
        telling.tell(&Said::Beginning, &[Said::Beginning]);
        let mut group: Vec<&Part> = Vec::new();
        let mut joined: Option<Part> = None;
        for part in parts {
            let rest = match &mut joined {
                Some(joined) => joined.join(part.clone(), Self::JOINED).err(),
                None => Some(part.clone()),
            };
            if let Some(rest) = rest {
                telling.tell_group(joined.replace(rest), &group);
                group.clear();
            }
            group.push(part);
        }
        telling.tell_group(joined, &group);
        if let Some(ending) = ending {
            telling.tell(&Said::End(ending), &[Said::End(ending)]);
        }
        telling.replay.seal();
        telling.replay
    }
}

/// Where a reader of a run begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    Beginning,
    Now,
    /// With the event of this number.
    Number(u64),
    /// As an id says.
    Id(Start),
}

struct Telling {
    replay: Replay,
    joined: Box<dyn Speller>,
    single: Box<dyn Speller>,
    /// How many events the log has for what was told so far.
    told: u64,
    events: Vec<Event<'static>>,
}

impl Telling {
    fn tell_group(&mut self, joined: Option<Part>, group: &[&Part]) {
        if let Some(joined) = joined {
            let group: Vec<_> = group.iter().map(|part| Said::Part(part)).collect();
            self.tell(&Said::Part(&joined), &group);
        }
    }

    /// Tells `joined`, which stands for all of `group`. Of its events the last has the number of the
    /// group's last; those before it only open what the last one says, as they did the first time.
    fn tell(&mut self, joined: &Said<'_>, group: &[Said<'_>]) {
        let first = self.told;
        for said in group {
            self.events.clear();
            self.single.spell(said, self.told, &mut self.events);
            self.told += self.events.len() as u64;
        }
        self.events.clear();
        self.joined.spell(joined, first, &mut self.events);
        let count = self.events.len();
        for (at, event) in self.events.iter().enumerate() {
            let last = if at + 1 == count {
                self.told - 1
            } else {
                first + at as u64
            };
            self.replay.push(event, last);
        }
    }
}
