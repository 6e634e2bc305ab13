//! Real-time eligibility: is this member covered?

pub mod payer;
