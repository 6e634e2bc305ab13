mod bench;
mod delivery;
mod faults;
mod resume;
mod revoke;
mod shards;
