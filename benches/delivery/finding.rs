//! One figure that is held against a goal.

use crate::spread::Spread;

pub(crate) struct Finding {
    pub(crate) what: String,
    /// `None`: it is only told.
    pub(crate) at_most: Option<f64>,
    /// One for each round.
    pub(crate) figures: Vec<f64>,
    pub(crate) unit: &'static str,
}

impl Finding {
    pub(crate) fn line(&self) -> Option<String> {
        let Self { what, at_most, figures, unit } = self;
        let spread = Spread::of(figures.iter().copied())?;
        let goal = at_most.map_or("–".into(), |at_most| format!("≤ {}{unit}", crate::spread::digits(at_most)));
        let verdict = match at_most {
            Some(at_most) if spread.median <= *at_most => "met",
            Some(_) => "**missed**",
            None => "",
        };
        Some(format!("| {what} | {goal} | {}{unit} | {verdict} |", spread.text()))
    }
}
