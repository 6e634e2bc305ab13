mod bench;
mod delivery;
mod faults;
mod interleavings;
mod resume;
mod revoke;
mod shards;
