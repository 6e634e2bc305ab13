//! What a viewer may see of an event: labels, the masks that open them, and the table of annotations.

mod annotations;
mod demand;
mod label;
mod permissions;

pub use annotations::{FieldEntry, MESSAGES, MessageTable, Payload, Redact, table};
pub use demand::{Demand, View};
pub use label::{Label, Mask, Sensitivities, Visibilities};
pub use permissions::{
    ACTS, BREAK_GLASS, MANAGE, MANAGE_ACCESS, ON_CARE_TEAM, ON_TENANT, Permission, REQUEST_ELIGIBILITY_CHECK,
    REVOKE_TOKENS, Round, SHARE, TREATS, permissions, permissions_for,
};
