//! Writing `benefitsInformation` rows.

use serde_json::{Map, Value, json};

/// One row; each call adds a field.
pub(super) struct Row(Map<String, Value>);

impl Row {
    /// EB01 and its words.
    pub(super) fn new(code: &str, name: &str) -> Self {
        Self(Map::new()).with("code", code).with("name", name)
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }

    pub(super) fn services(self, codes: &[&str]) -> Self {
        self.with("serviceTypeCodes", codes)
    }

    pub(super) fn individual(self) -> Self {
        self.with("coverageLevelCode", "IND").with("coverageLevel", "Individual")
    }

    pub(super) fn family(self) -> Self {
        self.with("coverageLevelCode", "FAM").with("coverageLevel", "Family")
    }

    pub(super) fn in_network(self) -> Self {
        self.with("inPlanNetworkIndicatorCode", "Y").with("inPlanNetworkIndicator", "Yes")
    }

    pub(super) fn out_of_network(self) -> Self {
        self.with("inPlanNetworkIndicatorCode", "N").with("inPlanNetworkIndicator", "No")
    }

    /// US dollars.
    pub(super) fn amount(self, dollars: u64) -> Self {
        self.with("benefitAmount", dollars.to_string())
    }

    /// A whole number of percent, below 100.
    pub(super) fn percent(self, percent: u64) -> Self {
        self.with("benefitPercent", format!("0.{percent:02}"))
    }

    pub(super) fn a_visit(self) -> Self {
        self.with("timeQualifierCode", "27").with("timeQualifier", "Visit")
    }

    pub(super) fn a_year(self) -> Self {
        self.with("timeQualifierCode", "23").with("timeQualifier", "Calendar Year")
    }

    pub(super) fn remaining(self) -> Self {
        self.with("timeQualifierCode", "29").with("timeQualifier", "Remaining")
    }

    pub(super) fn visits(self, count: u64) -> Self {
        self.with("quantityQualifierCode", "VS")
            .with("quantityQualifier", "Visits")
            .with("benefitQuantity", count.to_string())
    }

    pub(super) fn plan(self, insurance_type_code: &str, plan_coverage: &str) -> Self {
        self.with("insuranceTypeCode", insurance_type_code).with("planCoverage", plan_coverage)
    }

    pub(super) fn saying(self, words: &str) -> Self {
        self.with("additionalInformation", json!([{ "description": words }]))
    }

    pub(super) fn other_payer(self, name: &str) -> Self {
        self.with("benefitsRelatedEntities", json!([{ "entityIdentifier": "Primary Payer", "entityName": name }]))
    }
}

impl From<Row> for Value {
    fn from(row: Row) -> Self {
        Self::Object(row.0)
    }
}
