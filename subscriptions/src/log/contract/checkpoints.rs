//! The contract of [`Checkpoints`].

use sluice_schema::position::{Epoch, ReadVector};

use crate::log::Checkpoints;

fn vector(seqs: &[u64]) -> ReadVector {
    ReadVector(seqs.to_vec())
}

pub async fn a_checkpoint_is_the_last_that_was_saved(port: &dyn Checkpoints) {
    assert_eq!(port.load("payers", Epoch(1)).await.unwrap(), None);
    for seqs in [[1, 0, 7], [2, 9, 7], [0, 0, u64::MAX]] {
        port.save("payers", Epoch(1), &vector(&seqs)).await.unwrap();
        assert_eq!(port.load("payers", Epoch(1)).await.unwrap(), Some(vector(&seqs)));
    }
}

pub async fn workers_have_their_own(port: &dyn Checkpoints) {
    port.save("payers", Epoch(1), &vector(&[1])).await.unwrap();
    assert_eq!(port.load("projections", Epoch(1)).await.unwrap(), None);
    port.save("projections", Epoch(1), &vector(&[2])).await.unwrap();
    assert_eq!(port.load("payers", Epoch(1)).await.unwrap(), Some(vector(&[1])));
}

pub async fn another_epoch_starts_over(port: &dyn Checkpoints) {
    port.save("payers", Epoch(u64::MAX), &vector(&[5])).await.unwrap();
    assert_eq!(port.load("payers", Epoch(2)).await.unwrap(), None);
    port.save("payers", Epoch(2), &vector(&[1])).await.unwrap();
    assert_eq!(port.load("payers", Epoch(2)).await.unwrap(), Some(vector(&[1])));
}
