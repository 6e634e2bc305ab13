//! Rows of protected services are kept apart: what is derived from the others says nothing of them.

use serde_json::Value;
use sluice_domain::eligibility::service_types::{Sensitive, sensitive};

use super::json::Json;

/// The rows of `benefitsInformation`, by what they may tell.
#[derive(Default)]
pub(super) struct Rows<'a> {
    pub(super) ordinary: Vec<&'a Value>,
    /// With a protected service type among theirs, be it one of many.
    pub(super) sensitive: Vec<&'a Value>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(response: &'a Value) -> Self {
        let (sensitive, ordinary) =
            response.items("benefitsInformation").into_iter().partition(|row| is_sensitive(row));
        Self { ordinary, sensitive }
    }
}

pub(super) fn is_sensitive(row: &Value) -> bool {
    row.texts("serviceTypeCodes").iter().any(|code| sensitive(code).is_some())
}

/// The row's service types for a list of one class, without those of the other classes; `None` where it has none of this
/// class.
pub(super) fn codes_of_class(row: &Value, class: Sensitive) -> Option<Vec<String>> {
    let codes = row.texts("serviceTypeCodes");
    let of_class = codes.iter().any(|code| sensitive(code) == Some(class));
    of_class.then(|| codes.into_iter().filter(|code| sensitive(code).is_none_or(|of| of == class)).collect())
}
