//! The same figure of several rounds.

#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` where there is no figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        Some(Self { min, median: figures[figures.len() / 2], max })
    }

    /// `median (min–max)`.
    pub(crate) fn text(&self) -> String {
        format!("{} ({}–{})", digits(self.median), digits(self.min), digits(self.max))
    }
}

/// Three that count.
pub(crate) fn digits(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 0.3 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}
