//! The tables of docs/access.md, which are written by hand: role × permission, and role × purpose of use × what is shown.

use sluice_schema::{
    access::{Label, Sensitivities, Visibilities},
    proto::privacy::{Sensitivity, Visibility},
};

const ACCESS: &str = include_str!("../../../../docs/access.md");

/// What a table's cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    Yes,
    /// With the member's consent.
    Consent,
    No,
}

impl Cell {
    fn parse(text: &str) -> Self {
        match text {
            "yes" => Self::Yes,
            "consent" => Self::Consent,
            "" => Self::No,
            other => panic!("docs/access.md: {other:?} is no cell"),
        }
    }

    /// Whether it is open where the class in question is consented to, or is not.
    pub(super) fn is_open(self, consented: bool) -> bool {
        self == Self::Yes || self == Self::Consent && consented
    }
}

/// A cell of the table of permissions.
#[derive(Debug)]
pub(super) struct Permitted {
    pub(super) role: &'static str,
    pub(super) permission: &'static str,
    pub(super) cell: Cell,
}

/// What those of a role who come for a purpose are shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) role: &'static str,
    /// Its code.
    pub(super) purpose: &'static str,
    audiences: [(Visibility, Cell); 6],
    classes: [(Sensitivity, Cell); 5],
}

/// The columns, in their order.
const AUDIENCES: [(&str, Visibility); 6] = [
    ("member", Visibility::Member),
    ("family, coverage", Visibility::FamilyCoverage),
    ("family, care", Visibility::FamilyCare),
    ("care team", Visibility::CareTeam),
    ("staff", Visibility::Staff),
    ("privacy officer", Visibility::PrivacyOfficer),
];

/// The columns behind those, with the name that a class has in relations and permissions.
pub(super) const CLASSES: [(&str, &str, Sensitivity); 5] = [
    ("behavioral health", "behavioral_health", Sensitivity::BehavioralHealth),
    ("substance use", "substance_use", Sensitivity::SubstanceUse),
    ("HIV", "hiv", Sensitivity::Hiv),
    ("reproductive", "reproductive", Sensitivity::Reproductive),
    ("genetic", "genetic", Sensitivity::Genetic),
];

impl Shown {
    /// Whether what has this label is shown, where these classes are consented to.
    pub(super) fn shows(&self, label: Label, consents: Sensitivities) -> bool {
        let is_of = |audience| !label.visibilities.within(Visibilities::of(audience)).is_empty();
        let has = |classes: Sensitivities, class| classes.within(Sensitivities::of(class)) != Sensitivities::NORMAL;
        self.audiences.iter().any(|(audience, cell)| is_of(*audience) && cell.is_open(false))
            && self
                .classes
                .iter()
                .filter(|(class, _)| has(label.sensitivities, *class))
                .all(|(class, cell)| cell.is_open(has(consents, *class)))
    }
}

/// Every label that could be: of each audience alone and of all together, without a class, of each and of every two.
pub(super) fn labels() -> Vec<Label> {
    let audiences = AUDIENCES.map(|(_, audience)| Visibilities::of(audience)).into_iter().chain([Visibilities::EVENT]);
    let classes = || CLASSES.map(|(_, _, class)| Sensitivities::of(class)).into_iter().chain([Sensitivities::NORMAL]);
    let pairs = classes().flat_map(|one| classes().map(move |other| one.with(other)));
    let pairs: Vec<_> = pairs.collect();
    let of =
        |visibilities| pairs.iter().map(move |sensitivities| Label { visibilities, sensitivities: *sensitivities });
    audiences.flat_map(of).collect()
}

/// The cells of the table of permissions; a column or a row for several makes as many.
pub(super) fn permitted() -> Vec<Permitted> {
    let (header, rows) = table(&["", "self"]);
    let mut permitted = Vec::new();
    for row in rows {
        assert_eq!(row.len(), header.len(), "docs/access.md: {row:?}");
        // What is not in backticks are words about them.
        let permissions = row[0].split('`').skip(1).step_by(2);
        for permission in permissions {
            for (roles, cell) in header.iter().zip(&row).skip(1) {
                let cells = roles.split(", ").map(|role| Permitted { role, permission, cell: Cell::parse(cell) });
                permitted.extend(cells);
            }
        }
    }
    permitted
}

/// The rows of the table of what is shown. What has none is shown nothing.
pub(super) fn shown() -> Vec<Shown> {
    let (header, rows) = table(&["role", "purpose of use"]);
    let columns = AUDIENCES.map(|(name, _)| name).into_iter().chain(CLASSES.map(|(name, ..)| name));
    assert!(header.iter().skip(2).copied().eq(columns), "docs/access.md: {header:?}");
    let mut shown = Vec::new();
    for row in rows {
        assert_eq!(row.len(), header.len(), "docs/access.md: {row:?}");
        let purpose = row[1].trim_matches('`');
        let mut cells = row[2..].iter().map(|text| Cell::parse(text));
        let mut next = || cells.next().unwrap_or(Cell::No);
        let audiences = AUDIENCES.map(|(_, audience)| (audience, next()));
        assert!(audiences.iter().all(|(_, cell)| *cell != Cell::Consent), "a consent opens no audience: {row:?}");
        let classes = CLASSES.map(|(_, _, class)| (class, next()));
        shown.extend(row[0].split(", ").map(|role| Shown { role, purpose, audiences, classes }));
    }
    shown
}

/// The one table whose header begins so, without the line below it.
fn table(begins: &[&str]) -> (Vec<&'static str>, Vec<Vec<&'static str>>) {
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let mut lines = ACCESS.lines().skip_while(|line| !(line.starts_with('|') && cells(line).starts_with(begins)));
    let header = cells(lines.next().unwrap_or_else(|| panic!("docs/access.md has no table of {begins:?}")));
    let rows = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells);
    (header, rows.collect())
}
