//! What disks remember: shared by the models.

/// Where written bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Medium {
    /// Nowhere.
    Absent,
    /// In the page cache: every process reads them, a power cut may take them.
    Cached,
    /// In the page cache, and believed to be on disk, because a sync of them failed: every process reads them,
    /// a later sync says nothing, and a power cut takes them.
    Ghost,
    /// On disk.
    Durable,
}

impl Medium {
    /// A process that looks finds the bytes.
    pub(crate) fn is_readable(self) -> bool {
        self != Self::Absent
    }

    /// After a sync that went well. It does not bring back a ghost.
    pub(crate) fn synced(self) -> Self {
        match self {
            Self::Cached => Self::Durable,
            Self::Absent | Self::Ghost | Self::Durable => self,
        }
    }

    /// After a sync that failed.
    pub(crate) fn sync_failed(self) -> Self {
        match self {
            Self::Cached => Self::Ghost,
            Self::Absent | Self::Ghost | Self::Durable => self,
        }
    }

    /// After the same bytes were written once more, beside those that are there.
    pub(crate) fn written_again(self) -> Self {
        match self {
            Self::Absent | Self::Durable => self,
            Self::Cached | Self::Ghost => Self::Cached,
        }
    }

    /// After a power cut, if luck keeps what it may keep, or takes what it may take.
    pub(crate) fn power_cut(self, lucky: bool) -> Self {
        match self {
            Self::Cached if lucky => Self::Durable,
            Self::Absent | Self::Cached | Self::Ghost => Self::Absent,
            Self::Durable => Self::Durable,
        }
    }
}

/// An append-only file of records. A power cut leaves a prefix of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Journal<R> {
    lines: Vec<Line<R>>,
    /// Where the last commit begins.
    last_commit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Line<R> {
    record: R,
    medium: Medium,
}

impl<R: Copy + PartialEq> Journal<R> {
    pub(crate) const EMPTY: Self = Self { lines: Vec::new(), last_commit: 0 };

    /// Adds the records of one commit.
    pub(crate) fn write(&mut self, records: impl IntoIterator<Item = R>) {
        self.last_commit = self.lines.len();
        self.lines.extend(records.into_iter().map(|record| Line { record, medium: Medium::Cached }));
    }

    /// All that a process reads.
    pub(crate) fn records(&self) -> impl Iterator<Item = R> {
        self.lines.iter().map(|line| line.record)
    }

    /// All that the next power cut leaves for certain.
    pub(crate) fn durable(&self) -> impl Iterator<Item = R> {
        self.lines.iter().take_while(|line| line.medium == Medium::Durable).map(|line| line.record)
    }

    /// The records of the last commit: the only ones that no later commit vouches for.
    pub(crate) fn last_commit(&self) -> impl Iterator<Item = R> {
        self.lines[self.last_commit..].iter().map(|line| line.record)
    }

    pub(crate) fn length(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn has(&self, record: R) -> bool {
        self.records().any(|found| found == record)
    }

    pub(crate) fn count(&self, record: R) -> usize {
        self.records().filter(|found| *found == record).count()
    }

    pub(crate) fn is_durable(&self, record: R) -> bool {
        self.durable().any(|found| found == record)
    }

    pub(crate) fn sync(&mut self) {
        self.each(Medium::synced);
    }

    pub(crate) fn fail_sync(&mut self) {
        self.each(Medium::sync_failed);
    }

    /// Writes the last commit once more, into another segment.
    pub(crate) fn write_last_commit_again(&mut self) {
        for line in &mut self.lines[self.last_commit..] {
            line.medium = line.medium.written_again();
        }
    }

    pub(crate) fn cut(&mut self, length: usize) {
        self.lines.truncate(length);
        self.last_commit = self.last_commit.min(length);
    }

    /// How many lengths a power cut may leave: the durable ones and a prefix of those in the cache.
    pub(crate) fn prefixes(&self) -> std::ops::RangeInclusive<usize> {
        let durable = self.lines.iter().take_while(|line| line.medium == Medium::Durable).count();
        let may_survive =
            self.lines.iter().take_while(|line| matches!(line.medium, Medium::Durable | Medium::Cached)).count();
        durable..=may_survive
    }

    /// Power goes, and `length` records, one of [`Self::prefixes`], are left.
    pub(crate) fn power_cut(&mut self, length: usize) {
        self.cut(length);
        self.each(|medium| medium.power_cut(true));
    }

    fn each(&mut self, change: impl Fn(Medium) -> Medium) {
        for line in &mut self.lines {
            line.medium = change(line.medium);
        }
    }
}

impl<R: Copy + Ord> Journal<R> {
    /// Where the order of durable records means nothing, states that differ only in it are one.
    pub(crate) fn forget_order(&mut self) {
        let durable = self.lines.iter().take_while(|line| line.medium == Medium::Durable).count();
        self.lines[..durable].sort_by_key(|line| line.record);
        self.last_commit = durable;
    }
}
