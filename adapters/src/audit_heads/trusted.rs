//! Reading heads files, and holding chains against what they tell.
//!
//! A file is read twice. First all of it: each line must follow on the one before and be signed by a key that is trusted. Of
//! that it is remembered where each writer's heads lie. Then, while the walk passes a writer's records, its heads are read
//! again in step with it. So what is in memory grows with the number of writers, not with that of heads or records.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take},
    path::{Path, PathBuf},
};

use sluice_subscriptions::audit::Damage;

use super::{
    key::PublicKey,
    line::{BadHead, Head, MAX_LINE, Place},
};
use crate::audit_chain::Link;

/// Why heads can't be held against the trail.
#[derive(Debug, thiserror::Error)]
pub enum HeadsError {
    #[error("the file of audit heads {} can't be read: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// Somebody has written to the file, or it is of another signer.
    #[error("line {line} of the audit heads {} is not to be trusted: {why}", path.display())]
    Broken { path: PathBuf, line: u64, why: BadHead },
}

/// How far the heads reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// All that were read.
    pub heads: u64,
    /// Records that are behind the last head of their writer: that they are the last ones is not proven.
    pub uncovered: u64,
    /// Writers with records and without any head.
    pub headless: u64,
}

/// Heads that are signed by somebody who is trusted.
pub struct TrustedHeads {
    files: Vec<PathBuf>,
    keys: Vec<PublicKey>,
    writers: BTreeMap<String, Writer>,
    coverage: Coverage,
    /// Of the writer whose records pass now.
    passing: Passing,
}

#[derive(Default)]
struct Writer {
    /// One for each file that tells of it: some are copies.
    spans: Vec<Span>,
    met: bool,
}

/// Where the heads of a writer lie. Others' may be between them.
struct Span {
    file: usize,
    start: u64,
    end: u64,
    last: Head,
}

/// The heads of one writer, read in step with its records.
#[derive(Default)]
struct Passing {
    cursors: Vec<Cursor>,
    /// How far they reach.
    covered: i64,
}

struct Cursor {
    path: PathBuf,
    lines: Lines<Take<BufReader<File>>>,
    next: Option<Head>,
    /// The writer ended here.
    closed: Option<i64>,
}

impl TrustedHeads {
    /// Reads files and believes what one of `keys` has signed. A last line without its end is passed over: it is being
    /// written, or a crash has left it.
    ///
    /// # Errors
    /// A file can't be read, or one of its lines is not to be trusted.
    pub fn read(files: &[PathBuf], keys: Vec<PublicKey>) -> Result<Self, HeadsError> {
        let mut heads = Self {
            files: files.to_vec(),
            keys,
            writers: BTreeMap::new(),
            coverage: Coverage::default(),
            passing: Passing::default(),
        };
        for (number, path) in files.iter().enumerate() {
            heads.read_file(number, path)?;
        }
        Ok(heads)
    }

    fn read_file(&mut self, number: usize, path: &Path) -> Result<(), HeadsError> {
        let file = File::open(path).map_err(io_error(path))?;
        let mut lines = Lines::new(BufReader::new(file));
        let mut place = Place::beginning();
        while let Some((start, line)) = lines.next().map_err(io_error(path))? {
            let number_of_line = place.seq + 1;
            let broken = |why| HeadsError::Broken { path: path.into(), line: number_of_line, why };
            let head = Head::read(line, place, &self.keys).map_err(broken)?;
            place = Place::behind(head.seq, line);
            self.take(number, start, start + line.len() as u64 + 1, head).map_err(broken)?;
        }
        Ok(())
    }

    fn take(&mut self, file: usize, start: u64, end: u64, head: Head) -> Result<(), BadHead> {
        self.coverage.heads += 1;
        let spans = &mut self.writers.entry(head.writer.clone()).or_default().spans;
        match spans.iter_mut().find(|span| span.file == file) {
            None => spans.push(Span { file, start, end, last: head }),
            Some(span) => {
                if span.last.closed {
                    return Err(BadHead::AfterEnd);
                }
                let (before, now) = (span.last.link(), head.link());
                if now.number < before.number || (now.number == before.number && now.hash != before.hash) {
                    return Err(BadHead::StepsBack);
                }
                (span.end, span.last) = (end, head);
            }
        }
        Ok(())
    }

    /// How far they reach, once all records have passed.
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// The records of a writer come next.
    pub(crate) fn enter(&mut self, writer: &str) -> Result<(), HeadsError> {
        self.passing = Passing::default();
        let Some(known) = self.writers.get_mut(writer) else {
            self.coverage.headless += 1;
            return Ok(());
        };
        known.met = true;
        for span in &known.spans {
            let path = &self.files[span.file];
            let cursor = Cursor::open(path, span).map_err(io_error(path))?;
            self.passing.cursors.push(cursor);
        }
        for cursor in &mut self.passing.cursors {
            cursor.advance(writer, &self.keys)?;
        }
        Ok(())
    }

    /// A record that follows on those before, or (number 0) the place before the first one.
    ///
    /// # Errors
    /// `Ok(Err)`: it is not the one that a head tells of.
    pub(crate) fn pass(&mut self, writer: &str, link: &Link) -> Result<Result<(), Damage>, HeadsError> {
        for cursor in &mut self.passing.cursors {
            while let Some(head) = cursor.next.as_ref().filter(|head| head.number == link.number) {
                if head.link() != *link {
                    return Ok(Err(Damage::NotAsSigned));
                }
                self.passing.covered = link.number;
                if head.closed {
                    cursor.closed = Some(head.number);
                }
                cursor.advance(writer, &self.keys)?;
            }
            if cursor.closed.is_some_and(|closed| closed < link.number) {
                return Ok(Err(Damage::AfterEnd));
            }
        }
        Ok(Ok(()))
    }

    /// No more records of the writer come: its chain ends here.
    pub(crate) fn leave(&mut self, end: &Link) -> Result<(), Damage> {
        let passing = std::mem::take(&mut self.passing);
        let told = passing.cursors.iter().filter_map(|cursor| Some(cursor.next.as_ref()?.number)).max();
        if let Some(head) = told {
            return Err(Damage::CutOff { head });
        }
        self.coverage.uncovered += (end.number - passing.covered).unsigned_abs();
        Ok(())
    }

    /// A writer that had records when its head was signed, and of which none came.
    pub(crate) fn missing(&self) -> Option<(String, Damage)> {
        let unmet = self.writers.iter().filter(|(_, writer)| !writer.met);
        let told = |writer: &Writer| writer.spans.iter().map(|span| span.last.number).max().unwrap_or_default();
        let mut missing = unmet.map(|(name, writer)| (name, told(writer))).filter(|(_, told)| *told > 0);
        missing.next().map(|(name, head)| (name.clone(), Damage::ChainMissing { head }))
    }
}

impl Cursor {
    fn open(path: &Path, span: &Span) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        file.seek(SeekFrom::Start(span.start))?;
        let lines = Lines::new(file.take(span.end - span.start));
        Ok(Self { path: path.into(), lines, next: None, closed: None })
    }

    /// To the writer's next head. It was believed before; whoever has changed the file since is found out.
    fn advance(&mut self, writer: &str, keys: &[PublicKey]) -> Result<(), HeadsError> {
        self.next = None;
        while let Some((_, line)) = self.lines.next().map_err(io_error(&self.path))? {
            let changed = || io::Error::other("it was changed while it was read");
            let (head, ..) = Head::parse(line).ok_or_else(changed).map_err(io_error(&self.path))?;
            if head.writer == writer {
                let place = Place { seq: head.seq.saturating_sub(1), line: head.prev() };
                let head = Head::read(line, place, keys).map_err(|_| changed()).map_err(io_error(&self.path))?;
                self.next = Some(head);
                break;
            }
        }
        Ok(())
    }
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> HeadsError {
    let path = path.to_owned();
    move |source| HeadsError::Io { path: path.clone(), source }
}

/// Lines that end, each with where it begins.
struct Lines<R> {
    from: R,
    line: Vec<u8>,
    offset: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(from: R) -> Self {
        Self { from, line: Vec::new(), offset: 0 }
    }

    /// Without its newline. One that is too long for a head is given cut.
    fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        self.line.clear();
        let read = (&mut self.from).take(MAX_LINE as u64).read_until(b'\n', &mut self.line)?;
        let start = self.offset;
        self.offset += read as u64;
        match self.line.pop() {
            Some(b'\n') => Ok(Some((start, &self.line))),
            Some(_) if read == MAX_LINE => Ok(Some((start, &self.line))),
            _ => Ok(None),
        }
    }
}
