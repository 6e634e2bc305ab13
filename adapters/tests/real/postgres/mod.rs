//! PostgreSQL: each test has a database of its own.

mod contract;
mod database;
mod faults;
mod lease;
mod migrate;
mod nodes;
