//! One projection for all that are equal: a subscription then holds no document of its own, and equals are told by where they
//! are.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use hashbrown::HashMap;

use super::Projection;

/// The projections in use, by their keys.
#[derive(Default)]
pub(crate) struct Interned(Mutex<State>);

#[derive(Default)]
struct State {
    by_key: HashMap<Arc<str>, Weak<dyn Projection>>,
    /// How many there may be before those that nobody uses are dropped.
    look_over_at: usize,
}

/// So few are not looked over.
const FEW: usize = 64;

impl Interned {
    /// The one that is in use, if one is that equals this.
    pub(crate) fn intern(&self, projection: Arc<dyn Projection>) -> Arc<dyn Projection> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = state.by_key.get(projection.key()).and_then(Weak::upgrade) {
            return used;
        }
        if state.by_key.len() >= state.look_over_at.max(FEW) {
            state.by_key.retain(|_, projection| projection.strong_count() > 0);
            state.look_over_at = 2 * state.by_key.len();
        }
        state.by_key.insert(projection.key().clone(), Arc::downgrade(&projection));
        projection
    }
}

#[cfg(test)]
mod tests {
    use sluice_schema::access::{Demand, MessageTable};

    use super::*;
    use crate::render::{JsonProjection, Renderer};

    struct Named(Arc<str>);

    impl Projection for Named {
        fn key(&self) -> &Arc<str> {
            &self.0
        }

        fn shows(&self, _: &str) -> bool {
            true
        }

        fn demand(&self, payload: &'static MessageTable) -> &Demand {
            JsonProjection.demand(payload)
        }

        fn renderer(&self) -> Box<dyn Renderer> {
            JsonProjection.renderer()
        }
    }

    fn named(key: usize) -> Arc<dyn Projection> {
        Arc::new(Named(key.to_string().into()))
    }

    #[test]
    fn equals_are_one_as_long_as_one_is_used() {
        let interned = Interned::default();
        let first = interned.intern(named(1));
        assert!(Arc::ptr_eq(&first, &interned.intern(named(1))));
        assert!(!Arc::ptr_eq(&first, &interned.intern(named(2))));
        drop(first);
        let another = named(1);
        assert!(Arc::ptr_eq(&another, &interned.intern(another.clone())), "what nobody used is not there any more");
    }

    #[test]
    fn those_that_nobody_uses_do_not_pile_up() {
        let interned = Interned::default();
        let used: Vec<_> = (0..100).map(|key| interned.intern(named(key))).collect();
        (1000..10_000).for_each(|key| drop(interned.intern(named(key))));
        assert!(interned.0.lock().unwrap().by_key.len() < 300);
        assert!((0..100).all(|key| Arc::ptr_eq(&used[key], &interned.intern(named(key)))));
    }
}
