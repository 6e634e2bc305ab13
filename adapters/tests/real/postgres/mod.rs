//! PostgreSQL: each test has a database of its own.

mod contract;
mod database;
mod faults;
mod frontend;
mod half_open;
mod lease;
mod lost_answers;
mod migrate;
mod nodes;
mod proxy;
