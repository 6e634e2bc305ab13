//! GraphQL value types. Those that mirror a message are generated from it (see `build/`), so that a field can't be without
//! its label.

mod labelled;
mod scalars;
mod types;

pub use labelled::{HeldBack, Labelled, See};
pub use scalars::{ChannelScalar, CursorScalar, Date, DateTime, Decimal};
pub use types::*;
