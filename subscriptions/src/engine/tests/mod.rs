mod bench;
mod delivery;
mod ends;
mod faults;
mod interleavings;
mod resume;
mod revoke;
mod shards;
