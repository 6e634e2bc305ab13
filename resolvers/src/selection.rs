//! What a field's selection can show, and so what has to be decided for it.

use std::collections::BTreeSet;

use async_graphql::{Context, SelectionField};
use sluice_schema::access::{Mask, MessageTable};

/// The names of the fields that are selected below this one, at any depth, whatever types they are of and whether or not
/// a directive leaves them out: too many names ask too much, too few would hold back what may be seen.
pub(crate) fn names<'c>(ctx: &'c Context<'c>) -> BTreeSet<&'c str> {
    let mut names = BTreeSet::new();
    collect(ctx.field(), &mut names);
    names
}

fn collect<'c>(field: SelectionField<'c>, names: &mut BTreeSet<&'c str>) {
    for selected in field.selection_set() {
        names.insert(selected.name());
        collect(selected, names);
    }
}

/// The part of a viewer's mask that a message is shown by, where it stands in the answer below this field.
pub(crate) fn demand(ctx: &Context<'_>, table: &'static MessageTable) -> Mask {
    table.demand(&names(ctx)).mask()
}
