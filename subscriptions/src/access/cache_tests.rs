//! What is kept is what would be answered now.

use std::sync::Arc;

use proptest::prelude::*;
use sluice_schema::access::Visibilities;

use super::*;

const TENANTS: [&str; 2] = ["acme", "other"];
const MEMBERS: [&str; 3] = ["m-1", "m-2", "m-3"];
const USERS: [&str; 3] = ["u-1", "u-2", "u-3"];

fn viewer(tenant: usize, user: usize) -> Viewer {
    Viewer {
        tenant: TENANTS[tenant].parse().unwrap(),
        user: USERS[user].parse().unwrap(),
        actor: None,
        purpose: PurposeOfUse::Treatment,
        expires: Timestamp::MAX.into(),
        token: Default::default(),
    }
}

fn member(member: usize) -> MemberId {
    MEMBERS[member].parse().unwrap()
}

fn object(object_type: &str, tenant: usize, id: &str) -> ObjectRef {
    ObjectRef::new(object_type, &TENANTS[tenant].parse().unwrap(), id)
}

const SEES: Mask = Mask { visibilities: Visibilities::EVENT, ..Mask::NOTHING };

fn kept(sees: bool) -> Kept {
    let mask = if sees { SEES } else { Mask::NOTHING };
    Kept { decided: Decided { mask, may: false, revision: Arc::from("r"), until: None }, asked: SEES, act: None }
}

/// One that may see, until an instant.
fn until(until: Option<Timestamp>) -> Kept {
    let kept = kept(true);
    Kept { decided: Decided { until, ..kept.decided }, ..kept }
}

/// Who may see whom: an index for each tenant, user and member.
type Truth = [[[bool; 3]; 3]; 2];
type Cell = (usize, usize, usize);

#[derive(Debug, Clone)]
enum Step {
    /// Somebody asks.
    Ask(Cell),
    /// The oldest question that has no answer yet is answered.
    Answer,
    /// An answer comes home.
    Keep(usize),
    /// The answer for one is another one: as a change of the member's relationships, of the user's, or of anything.
    Change(Cell, u8),
}

fn cell() -> impl Strategy<Value = Cell> {
    (0..2usize, 0..3usize, 0..3usize)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => cell().prop_map(Step::Ask),
        4 => Just(Step::Answer),
        4 => (0..4usize).prop_map(Step::Keep),
        2 => (cell(), 0..4u8).prop_map(|(cell, how)| Step::Change(cell, how)),
    ]
}

fn touched((tenant, user, member): Cell, how: u8) -> Touched {
    match how {
        0 => Touched::Resource(object("member", tenant, MEMBERS[member])),
        1 => Touched::Subject(object("user", tenant, USERS[user])),
        2 => Touched::Tenant(TENANTS[tenant].into()),
        _ => Touched::Everything,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn whatever_overtakes_what_no_answer_is_used_that_would_not_be_given_now(steps in proptest::collection::vec(step(), 1..80)) {
        let cache = Cache::new();
        let mut truth = Truth::default();
        let mut open: VecDeque<(Asked, Cell)> = VecDeque::new();
        let mut answered: Vec<(Asked, Cell, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Ask(cell) => open.push_back((cache.asked(), cell)),
                Step::Answer => if let Some((asked, (t, u, m))) = open.pop_front() {
                    answered.push((asked, (t, u, m), truth[t][u][m]));
                },
                Step::Keep(which) if which < answered.len() => {
                    let (asked, (t, u, m), sees) = answered.swap_remove(which);
                    cache.keep(asked, &viewer(t, u), &member(m), kept(sees));
                }
                Step::Keep(_) => {}
                Step::Change(cell @ (t, u, m), how) => {
                    truth[t][u][m] = !truth[t][u][m];
                    cache.touched(&[touched(cell, how)]);
                }
            }
            for (t, of_tenant) in truth.iter().enumerate() {
                for (u, of_user) in of_tenant.iter().enumerate() {
                    for (m, sees) in of_user.iter().enumerate() {
                        let (viewer, member) = (viewer(t, u), member(m));
                        let question = Question { viewer: &viewer, member: Some(&member), demand: SEES };
                        if let Some(decided) = cache.get(&question, None, Timestamp::now()) {
                            prop_assert_eq!(decided.mask == SEES, *sees, "{:?}", (t, u, m));
                        }
                    }
                }
            }
        }
        let state = cache.read();
        let count: usize = state.members.values().map(HashMap::len).sum();
        let listed: usize = state.users.values().map(HashSet::len).sum();
        prop_assert_eq!((state.count, count), (count, listed), "what is kept is counted and listed");
    }
}

fn ask(cache: &Cache, demand: Mask, act: Option<&'static str>) -> Option<Decided> {
    let (viewer, member) = (viewer(0, 0), member(0));
    cache.get(&Question { viewer: &viewer, member: Some(&member), demand }, act, Timestamp::now())
}

#[test]
fn a_change_affects_just_whom_it_touches() {
    let affects = |touched: Touched| {
        let touched = [touched];
        let affected = Affected::by(&touched);
        let cells = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)];
        cells.map(|(t, u, m)| affected.includes(&viewer(t, u), &member(m)))
    };
    assert_eq!(affects(touched((0, 0, 0), 0)), [true, false, true, false], "one member");
    assert_eq!(affects(touched((0, 0, 0), 1)), [true, true, false, false], "one user");
    assert_eq!(affects(touched((0, 0, 0), 2)), [true, true, true, false], "a tenant");
    assert_eq!(affects(Touched::Everything), [true; 4]);
    assert_eq!(affects(Touched::Resource(object("encounter", 0, "m-1"))), [false; 4], "what decisions are not about");
    let nameless = ObjectRef { object_type: "member".into(), id: "m-1".into() };
    assert_eq!(affects(Touched::Resource(nameless)), [true; 4], "it may be any tenant's");
}

#[test]
fn what_was_not_asked_about_is_not_known() {
    let cache = Cache::new();
    let act = Some("request_eligibility_check");
    cache.keep(cache.asked(), &viewer(0, 0), &member(0), Kept { act, ..kept(true) });
    assert!(ask(&cache, SEES, None).is_some() && ask(&cache, SEES, act).is_some());
    assert!(ask(&cache, Mask::EVERYTHING, None).is_none(), "the classes were not asked about");
    assert!(ask(&cache, SEES, Some("another")).is_none());
}

#[test]
fn what_may_change_by_itself_is_used_no_longer_than_that() {
    let cache = Cache::new();
    let (before, after) = (Timestamp::now() - Duration::from_secs(1), Timestamp::now() + Duration::from_secs(60));
    cache.keep(cache.asked(), &viewer(0, 0), &member(0), until(Some(before)));
    assert!(ask(&cache, SEES, None).is_none());
    cache.keep(cache.asked(), &viewer(0, 0), &member(0), until(Some(after)));
    assert!(ask(&cache, SEES, None).is_some());
}

#[test]
fn nothing_is_known_until_it_is_told_and_after_it_was_told_last() {
    let cache = Cache::new();
    assert!(!cache.is_known());
    cache.known_until(Some(Instant::now() + Duration::from_secs(60)));
    assert!(cache.is_known());
    cache.known_until(None);
    assert!(!cache.is_known());
    cache.known_until(Some(Instant::now()));
    assert!(!cache.is_known());
}

#[test]
fn an_answer_that_too_many_changes_overtook_is_not_kept() {
    let cache = Cache::new();
    let asked = cache.asked();
    let elsewhere = Touched::Tenant("other".into());
    cache.touched(&vec![elsewhere.clone(); RECENT]);
    cache.keep(asked, &viewer(0, 0), &member(0), kept(true));
    assert!(ask(&cache, SEES, None).is_some(), "all of the changes are known to be another tenant's");
    cache.touched(&[Touched::Everything]);
    let asked = cache.asked();
    cache.touched(&vec![elsewhere; RECENT + 1]);
    cache.keep(asked, &viewer(0, 0), &member(0), kept(true));
    assert!(ask(&cache, SEES, None).is_none());
}

#[test]
fn what_is_over_does_not_pile_up() {
    let cache = Cache::new();
    let over = Some(Timestamp::now() - Duration::from_secs(1));
    for number in 0..3 * LOOK_OVER {
        let member = format!("m-{number}").parse().unwrap();
        cache.keep(cache.asked(), &viewer(0, 0), &member, until(over));
    }
    let state = cache.read();
    assert!(state.count <= LOOK_OVER && state.members.len() == state.count, "{}", state.count);
}
