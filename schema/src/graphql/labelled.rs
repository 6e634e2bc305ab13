//! A field that may be held back: `null` then, and named in `extensions.redacted`, its siblings untouched.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, QueryPathNode, QueryPathSegment, ServerResult, Value,
    parser::types::Field, registry::Registry,
};

use crate::access::{Label, Mask};

/// Makes the GraphQL value of a message for those who have this mask. The message was redacted by the same mask before;
/// here it is only told what was held back.
pub trait See<M> {
    fn see(message: &M, mask: Mask) -> Self;
}

/// A value with a label. Being held back depends on the label alone, not on whether there was a value: that there is one
/// may be the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labelled<T> {
    Shown(Option<T>),
    Held,
}

impl<T> Labelled<T> {
    pub fn see(mask: Mask, label: Label, value: impl FnOnce() -> Option<T>) -> Self {
        if mask.sees(label) { Self::Shown(value()) } else { Self::Held }
    }

    /// The value, where there is one to be seen.
    pub fn shown(&self) -> Option<&T> {
        match self {
            Self::Shown(value) => value.as_ref(),
            Self::Held => None,
        }
    }
}

/// The response paths that were held back in one response. Put it into a request's data in an `Arc`, and take them out after.
#[derive(Debug, Default)]
pub struct HeldBack(Mutex<Vec<Vec<serde_json::Value>>>);

impl HeldBack {
    /// All paths since the last call, each once, in order: response keys and list indices, as in a GraphQL error's `path`.
    pub fn take(&self) -> Vec<Vec<serde_json::Value>> {
        let mut paths = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        paths.sort_by_cached_key(|path| serde_json::Value::from(path.clone()).to_string());
        paths.dedup();
        paths
    }

    fn add(&self, node: QueryPathNode<'_>) {
        let mut path: Vec<serde_json::Value> = std::iter::once(&node)
            .chain(node.parents())
            .map(|node| match node.segment {
                QueryPathSegment::Index(index) => index.into(),
                QueryPathSegment::Name(name) => name.into(),
            })
            .collect();
        path.reverse();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(path);
    }
}

impl<T: OutputType> OutputType for Labelled<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        <Option<T> as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Option<T> as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        match self {
            Self::Shown(value) => value.resolve(ctx, field).await,
            Self::Held => {
                if let (Some(held_back), Some(node)) = (ctx.data_opt::<Arc<HeldBack>>(), ctx.path_node) {
                    held_back.add(node);
                }
                Ok(Value::Null)
            }
        }
    }
}
