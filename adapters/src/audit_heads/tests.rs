//! Trails that were tampered with in every way that there is, each held against its heads.

use std::{collections::BTreeMap, fs, path::PathBuf};

use proptest::{prelude::*, sample::Index};
use sluice_subscriptions::audit::{Damage, Verified};
use tempfile::TempDir;

use super::{
    BadHead, Coverage, HeadsError, PublicKey, SigningKey, TrustedHeads,
    file::{self, HeadsFileError},
    line::Statement,
};
use crate::audit_chain::{Link, Page, Row, Walk};

/// A trail in memory, as a store gives it, and its heads in a file.
struct Trail {
    home: TempDir,
    key: SigningKey,
    rows: Vec<Row>,
    /// By writer: what its last head tells, and whether that says that it ended.
    told: BTreeMap<String, (i64, bool)>,
}

/// How one writer of a trail went.
#[derive(Debug, Clone)]
struct Plan {
    records: usize,
    /// After how many records a head is signed.
    signed: Vec<Index>,
    closed: bool,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (1..8usize, prop::collection::vec(any::<Index>(), 0..4), any::<bool>());
    prop::collection::vec(plan.prop_map(|(records, signed, closed)| Plan { records, signed, closed }), 1..4)
}

impl Trail {
    fn new(plans: &[Plan]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let key = SigningKey::open(&home.path().join("key")).unwrap();
        let mut trail = Self { home, key, rows: Vec::new(), told: BTreeMap::new() };
        for (number, plan) in plans.iter().enumerate() {
            trail.write(&format!("node-{number}.boot"), plan);
        }
        trail
    }

    fn write(&mut self, writer: &str, plan: &Plan) {
        let mut signed: Vec<_> = plan.signed.iter().map(|index| index.index(plan.records + 1) as i64).collect();
        signed.sort_unstable();
        let mut end = Link::beginning(writer);
        for number in 0..=plan.records as i64 {
            if number > 0 {
                let row = record(writer, end, &format!(r#"{{"of":"{writer}","number":{number}}}"#));
                end = end.next(&row.4);
                self.rows.push(row);
            }
            for _ in signed.iter().filter(|signed| **signed == number) {
                self.sign(writer, end, false);
            }
        }
        if plan.closed {
            self.sign(writer, end, true);
        }
    }

    fn sign(&mut self, writer: &str, end: Link, closed: bool) {
        file::append(&self.file(), &Statement { writer: writer.into(), end, closed }, &self.key).unwrap();
        self.told.insert(writer.into(), (end.number, closed));
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("heads.jsonl")
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn put_lines(&self, lines: &[String]) {
        fs::write(self.file(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }

    fn verify(&self) -> Result<(Verified, Coverage), HeadsError> {
        let files = Some(self.file()).filter(|file| file.exists());
        let mut heads = TrustedHeads::read(files.as_slice(), vec![self.key.public().clone()])?;
        let verified = walk(&self.rows, Some(&mut heads));
        Ok((verified, heads.coverage()))
    }

    /// What was found, wherever: in the chains or in the heads.
    fn is_whole(&self) -> bool {
        matches!(self.verify(), Ok((Verified::Intact { .. }, _)))
    }

    /// Places of records that a head covers: there tampering can't hide at the end of a chain.
    fn covered(&self) -> Vec<usize> {
        let is_covered = |(writer, number, ..): &Row| self.told.get(writer).is_some_and(|(told, _)| number <= told);
        (0..self.rows.len()).filter(|place| is_covered(&self.rows[*place])).collect()
    }

    /// Computes the chain of the writer at `place` anew from there: as whoever may write to the trail can.
    fn recompute(&mut self, place: usize) {
        let (writer, number, prev_hash, ..) = self.rows[place].clone();
        let mut end = Link { number: number - 1, hash: prev_hash.try_into().unwrap() };
        for row in self.rows[place..].iter_mut().filter(|row| row.0 == writer) {
            *row = record(&writer, end, std::str::from_utf8(&row.4).unwrap());
            end = end.next(&row.4);
        }
    }
}

fn record(writer: &str, end: Link, body: &str) -> Row {
    let next = end.next(body.as_bytes());
    (writer.into(), next.number, end.hash.to_vec(), next.hash.to_vec(), body.into())
}

fn walk(rows: &[Row], heads: Option<&mut TrustedHeads>) -> Verified {
    let mut walk = Walk::new(heads);
    let mut pages = rows.chunks(3).map(<[_]>::to_vec).chain([Vec::new()]);
    pages.find_map(|page| walk.take(Page::of(page)).unwrap()).unwrap()
}

/// What somebody did to records that a head covers.
#[derive(Debug, Clone)]
enum Tampering {
    Alter(Index),
    AlterAndRecompute(Index),
    Remove(Index),
    RemoveAndRecompute(Index),
    PutInAndRecompute(Index),
    Swap(Index),
    CutOff(Index),
    RemoveChain(Index),
    PassOffAsAnothers(Index),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    use Tampering::*;
    any::<(u8, Index)>().prop_map(|(kind, at)| match kind % 9 {
        0 => Alter(at),
        1 => AlterAndRecompute(at),
        2 => Remove(at),
        3 => RemoveAndRecompute(at),
        4 => PutInAndRecompute(at),
        5 => Swap(at),
        6 => CutOff(at),
        7 => RemoveChain(at),
        _ => PassOffAsAnothers(at),
    })
}

impl Tampering {
    /// `None`: there is nothing to do it to.
    fn apply(&self, trail: &mut Trail) -> Option<()> {
        use Tampering::*;
        let covered = trail.covered();
        let (Alter(at)
        | AlterAndRecompute(at)
        | Remove(at)
        | RemoveAndRecompute(at)
        | PutInAndRecompute(at)
        | Swap(at)
        | CutOff(at)
        | RemoveChain(at)
        | PassOffAsAnothers(at)) = self;
        let place = *covered.get(at.index(covered.len().max(1)))?;
        let writer = trail.rows[place].0.clone();
        match self {
            Alter(_) => trail.rows[place].4 = br#"{"altered":true}"#.to_vec(),
            AlterAndRecompute(_) => {
                trail.rows[place].4 = br#"{"altered":true}"#.to_vec();
                trail.recompute(place);
            }
            Remove(_) => drop(trail.rows.remove(place)),
            RemoveAndRecompute(_) => {
                let removed = trail.rows.remove(place);
                if trail.rows.get(place).is_some_and(|next| next.0 == writer) {
                    trail.rows[place].1 = removed.1;
                    trail.rows[place].2 = removed.2;
                    trail.recompute(place);
                }
            }
            PutInAndRecompute(_) => {
                let mut row = trail.rows[place].clone();
                row.4 = br#"{"put":"in"}"#.to_vec();
                trail.rows.insert(place, row);
                trail.recompute(place);
            }
            Swap(_) => {
                let other = place + 1;
                let next = trail.rows.get(other).filter(|next| next.0 == writer)?.4.clone();
                trail.rows[other].4 = std::mem::replace(&mut trail.rows[place].4, next);
                trail.recompute(place);
            }
            CutOff(_) => {
                let number = trail.rows[place].1;
                trail.rows.retain(|row| row.0 != writer || row.1 < number);
            }
            RemoveChain(_) => trail.rows.retain(|row| row.0 != writer),
            PassOffAsAnothers(_) => {
                let place = trail.rows.iter().position(|row| row.0 == writer)?;
                for row in trail.rows.iter_mut().filter(|row| row.0 == writer) {
                    row.0 = "node-9.other".into();
                }
                trail.rows[place].2 = Link::beginning("node-9.other").hash.to_vec();
                trail.recompute(place);
                trail.rows.sort();
            }
        }
        Some(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_trail_that_nobody_touched_is_whole_and_it_is_told_how_far_heads_reach(plans in plans()) {
        let trail = Trail::new(&plans);
        let (verified, coverage) = trail.verify().unwrap();
        prop_assert_eq!(verified, Verified::Intact { records: trail.rows.len() as u64 });
        prop_assert_eq!(coverage.heads, trail.lines().len() as u64);
        prop_assert_eq!(coverage.uncovered, (trail.rows.len() - trail.covered().len()) as u64);
        prop_assert_eq!(coverage.headless, (plans.len() - trail.told.len()) as u64);
    }

    #[test]
    fn whatever_is_done_to_records_that_heads_cover_is_found(plans in plans(), tampering in tampering()) {
        let mut trail = Trail::new(&plans);
        prop_assert!(trail.is_whole());
        if tampering.apply(&mut trail).is_some() {
            prop_assert!(!trail.is_whole(), "{:?}", trail.rows);
        }
    }

    #[test]
    fn what_comes_after_a_writers_last_head_is_cut_off_without_a_trace(plans in plans(), at: Index) {
        let mut trail = Trail::new(&plans);
        let covered = trail.covered();
        let uncovered: Vec<_> = (0..trail.rows.len()).filter(|place| !covered.contains(place)).collect();
        if let Some(place) = uncovered.get(at.index(uncovered.len().max(1))) {
            let (writer, number, ..) = trail.rows[*place].clone();
            trail.rows.retain(|row| row.0 != writer || row.1 < number);
            prop_assert!(trail.is_whole());
        }
    }

    #[test]
    fn a_head_with_any_byte_altered_is_found(plans in plans(), at: Index, other: u8) {
        let trail = Trail::new(&plans);
        let mut bytes = fs::read(trail.file()).unwrap_or_default();
        // Without its newline the last head is one that is being written.
        if bytes.len() > 1 {
            let place = at.index(bytes.len() - 1);
            if bytes[place] != other {
                bytes[place] = other;
                fs::write(trail.file(), bytes).unwrap();
                prop_assert!(matches!(trail.verify(), Err(HeadsError::Broken { .. })), "{:?}", trail.lines());
            }
        }
    }

    #[test]
    fn heads_that_were_taken_out_or_moved_are_found(plans in plans(), at: Index, moved: bool) {
        let trail = Trail::new(&plans);
        let mut lines = trail.lines();
        // To take out the last one is to cut the file off.
        if lines.len() > 1 {
            let place = at.index(lines.len() - 1);
            if moved { lines.swap(place, place + 1) } else { drop(lines.remove(place)) }
            trail.put_lines(&lines);
            let broken = matches!(trail.verify(), Err(HeadsError::Broken { why: BadHead::DoesNotFollow, line, .. })
                if line == place as u64 + 1);
            prop_assert!(broken, "{:?}", trail.verify().err());
        }
    }

    #[test]
    fn no_line_is_too_odd_to_be_refused(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let trail = Trail::new(&[]);
        fs::write(trail.file(), [&text[..], b"\n"].concat()).unwrap();
        let refused = matches!(trail.verify(), Err(HeadsError::Broken { .. }));
        prop_assert!(refused);
    }
}

/// A writer with five records; heads after the second and after the fourth.
fn one(closed: bool) -> Trail {
    let mut trail = Trail::new(&[Plan { records: 5, signed: Vec::new(), closed: false }]);
    let end = |trail: &Trail, number: i64| {
        let row = trail.rows.iter().find(|row| row.1 == number).unwrap();
        Link { number, hash: row.3.clone().try_into().unwrap() }
    };
    for number in [2, 4] {
        let end = end(&trail, number);
        trail.sign("node-0.boot", end, false);
    }
    if closed {
        let end = end(&trail, 5);
        trail.sign("node-0.boot", end, true);
    }
    trail
}

fn found(trail: &Trail) -> (u64, Damage) {
    match trail.verify().unwrap().0 {
        Verified::Broken { number, why, .. } => (number, why),
        intact => panic!("{intact:?}"),
    }
}

#[test]
fn it_is_told_which_record_and_what() {
    let mut cut = one(false);
    cut.rows.truncate(3);
    assert_eq!(found(&cut), (4, Damage::CutOff { head: 4 }));

    let mut gone = one(false);
    gone.rows.clear();
    assert_eq!(found(&gone), (1, Damage::ChainMissing { head: 4 }));

    let mut anew = one(false);
    anew.rows[2].4 = b"{}".to_vec();
    anew.recompute(2);
    assert_eq!(found(&anew), (4, Damage::NotAsSigned), "the first record that a head tells of");

    let mut longer = one(true);
    let end = Link { number: 5, hash: longer.rows[4].3.clone().try_into().unwrap() };
    longer.rows.push(record("node-0.boot", end, "{}"));
    assert_eq!(found(&longer), (6, Damage::AfterEnd));
}

#[test]
fn heads_of_another_signer_are_not_believed_and_those_of_several_are() {
    let mut trail = one(false);
    let first = trail.key.public().clone();
    let other = SigningKey::open(&trail.home.path().join("other")).unwrap();
    trail.key = other;
    let end = Link { number: 5, hash: trail.rows[4].3.clone().try_into().unwrap() };
    trail.sign("node-0.boot", end, false);
    let believe = |keys: Vec<PublicKey>| TrustedHeads::read(&[trail.file()], keys);
    let second = trail.key.public().clone();
    let Err(HeadsError::Broken { line: 3, why, .. }) = believe(vec![first.clone()]) else { panic!() };
    assert_eq!(why, BadHead::UnknownKey(second.id()));
    let mut heads = believe(vec![first, second]).unwrap();
    assert_eq!(walk(&trail.rows, Some(&mut heads)), Verified::Intact { records: 5 });
    assert_eq!(heads.coverage(), Coverage { heads: 3, uncovered: 0, headless: 0 });
}

#[test]
fn a_signer_whose_trail_lost_records_convicts_it() {
    let mut trail = one(false);
    let end = Link { number: 3, hash: trail.rows[2].3.clone().try_into().unwrap() };
    trail.sign("node-0.boot", end, false);
    assert!(matches!(trail.verify(), Err(HeadsError::Broken { line: 3, why: BadHead::StepsBack, .. })));
}

#[test]
fn a_copy_beside_the_file_tells_what_the_file_does_not_any_more() {
    let trail = one(false);
    let copy = trail.home.path().join("copy.jsonl");
    fs::copy(trail.file(), &copy).unwrap();
    trail.put_lines(&trail.lines()[..1]);
    let files = [trail.file(), copy];
    let mut heads = TrustedHeads::read(&files, vec![trail.key.public().clone()]).unwrap();
    assert_eq!(
        walk(&trail.rows[..3], Some(&mut heads)),
        Verified::Broken { writer: "node-0.boot".into(), number: 4, why: Damage::CutOff { head: 4 } }
    );
}

/// Somebody cuts the file, lets the signer go on, and then puts back what he had cut: every line is signed, and counts on.
#[test]
fn a_head_of_another_history_of_the_file_is_found() {
    let mut trail = one(false);
    let before = trail.lines();
    trail.put_lines(&before[..1]);
    for number in [3, 5] {
        let end = Link { number, hash: trail.rows[number as usize - 1].3.clone().try_into().unwrap() };
        trail.sign("node-0.boot", end, false);
    }
    assert!(trail.is_whole());
    let mut lines = trail.lines();
    lines[1].clone_from(&before[1]);
    trail.put_lines(&lines);
    assert!(matches!(trail.verify(), Err(HeadsError::Broken { line: 3, why: BadHead::DoesNotFollow, .. })));
}

#[test]
fn half_a_line_that_a_crash_left_is_passed_over_and_cut_off_by_the_next_head() {
    let mut trail = one(false);
    let whole = fs::read(trail.file()).unwrap();
    for half in [1, 40] {
        fs::write(trail.file(), [&whole[..], &whole[..half]].concat()).unwrap();
        assert!(trail.is_whole());
    }
    let end = Link { number: 5, hash: trail.rows[4].3.clone().try_into().unwrap() };
    trail.sign("node-0.boot", end, false);
    assert!(trail.is_whole());
    assert_eq!(trail.lines().len(), 3);
}

#[test]
fn nothing_is_added_behind_what_is_no_head() {
    let trail = one(false);
    let statement = Statement { writer: "node-0.boot".into(), end: Link::beginning("node-0.boot"), closed: false };
    let head = fs::read_to_string(trail.file()).unwrap();
    let others = ["something else\n".into(), "something else".into(), "x".repeat(100_000), head + "something else"];
    for other in others {
        fs::write(trail.file(), &other).unwrap();
        let refused = file::append(&trail.file(), &statement, &trail.key).unwrap_err();
        assert!(matches!(refused, HeadsFileError::Damaged { .. }), "{refused}");
        assert_eq!(fs::read_to_string(trail.file()).unwrap(), other, "and nothing is taken away");
    }
}

#[test]
fn several_writers_may_share_a_file() {
    let home = tempfile::tempdir().unwrap();
    let (file, key_file) = (home.path().join("heads.jsonl"), home.path().join("key"));
    let public = SigningKey::open(&key_file).unwrap().public().clone();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (file, key) = (&file, SigningKey::open(&key_file).unwrap());
            scope.spawn(move || {
                let writer = format!("node-{writer}.boot");
                let mut end = Link::beginning(&writer);
                for _ in 0..20 {
                    file::append(file, &Statement { writer: writer.clone(), end, closed: false }, &key).unwrap();
                    end = end.next(b"{}");
                }
            });
        }
    });
    let heads = TrustedHeads::read(&[file], vec![public]).unwrap();
    assert_eq!(heads.coverage().heads, 80);
    assert!(heads.missing().is_some());
}
