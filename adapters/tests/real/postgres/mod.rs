//! PostgreSQL: each test has a database of its own.

#[cfg(feature = "failpoints")]
mod child;
mod contract;
mod database;
#[cfg(feature = "failpoints")]
mod failpoints;
mod faults;
mod frontend;
mod half_open;
mod lease;
mod lost_answers;
mod migrate;
mod nodes;
mod proxy;
