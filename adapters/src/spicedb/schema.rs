//! The server's schema: compared with ours, and written.

use sluice_subscriptions::relationships::Schema;
use spicedb_grpc_tonic::v1::{
    DiffSchemaRequest, ReadSchemaRequest, ReflectionRelationSubjectTypeChange, WriteSchemaRequest,
    reflection_schema_diff::Diff, reflection_type_reference::Typeref,
};
use tonic::{Code, Status};

use super::{OpenError, SpiceDb, client::Client, definitions, error, wire};

/// What was found, and is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// The server's is ours, whatever the order and the comments.
    Same,
    /// There was nothing of it; now there is.
    Created,
    /// It was another one, different in these names; now it is ours.
    Changed(Vec<String>),
}

/// One difference of the server's schema from the wanted one.
struct Difference {
    /// `member`, whose definition it is in.
    definition: String,
    /// `member#guardian`, and for a subject type `member#guardian: user`.
    name: String,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    DefinitionAdded,
    /// A relation or a subject type, so relationships may hang on it.
    Removed,
    Other,
}

/// What SpiceDB is asked for, where it refuses.
const COMPARE: &str = "compare schemas";

impl SpiceDb {
    /// Compares the server's schema with ours, comments and order aside. What is absent is written. What differs is
    /// written where `write` says so, unless that would remove a relation or a subject type: those may be a newer
    /// version's. Definitions of others are left alone.
    ///
    /// # Errors
    /// [`OpenError::Differs`] and [`OpenError::Removes`] name the differences; others as in [`Self::connect`].
    pub async fn ensure_schema(&self, write: bool) -> Result<SchemaState, OpenError> {
        let theirs = self.read_schema().await?;
        let state = self.plan(&theirs, write).await?;
        if state != SchemaState::Same {
            let wanted = if theirs.trim().is_empty() { self.schema_text.clone() } else { self.merged(&theirs).await? };
            self.write_schema(wanted).await?;
        }
        Ok(state)
    }

    /// What [`Self::ensure_schema`] would find and do; writes nothing.
    ///
    /// # Errors
    /// As there.
    pub async fn planned_schema(&self, write: bool) -> Result<SchemaState, OpenError> {
        self.plan(&self.read_schema().await?, write).await
    }

    async fn plan(&self, theirs: &str, write: bool) -> Result<SchemaState, OpenError> {
        if theirs.trim().is_empty() {
            return Ok(SchemaState::Created);
        }
        let ours = differences_in(&self.client, &self.schema_text, &self.schema).await;
        let ours = ours.map_err(|status| self.refused(COMPARE, &status))?;
        if ours.is_empty() {
            return Ok(SchemaState::Same);
        }
        let created = ours.iter().all(|one| one.what == What::DefinitionAdded);
        self.may_write(write || created, &ours)?;
        let names = ours.into_iter().map(|one| one.name).collect();
        Ok(if created { SchemaState::Created } else { SchemaState::Changed(names) })
    }

    fn may_write(&self, write: bool, differences: &[Difference]) -> Result<(), OpenError> {
        let endpoint = self.client.endpoint.clone();
        let names = |wanted: fn(&Difference) -> bool| {
            differences.iter().filter(|one| wanted(one)).map(|one| one.name.clone()).collect::<Vec<_>>()
        };
        if !write {
            return Err(OpenError::Differs { endpoint, differences: names(|_| true) });
        }
        let removals = names(|one| one.what == What::Removed);
        if removals.is_empty() { Ok(()) } else { Err(OpenError::Removes { endpoint, removals }) }
    }

    /// Ours and the definitions of others, which SpiceDB itself finds unchanged in it.
    async fn merged(&self, theirs: &str) -> Result<String, OpenError> {
        let unreadable = |_| OpenError::ForeignText { endpoint: self.client.endpoint.clone() };
        let merged = definitions::merge(&self.schema_text, theirs, |name| self.schema.knows_type(name));
        let merged = merged.map_err(unreadable)?;
        let mut touched = self.differences(&merged).await?;
        touched.retain(|one| !self.schema.knows_type(&one.definition));
        if touched.is_empty() {
            return Ok(merged);
        }
        let touched = touched.into_iter().map(|one| one.name).collect();
        Err(OpenError::Foreign { endpoint: self.client.endpoint.clone(), touched })
    }

    /// The server's schema; empty where it has none.
    pub(super) async fn read_schema(&self) -> Result<String, OpenError> {
        let call = || async { self.client.schema().read_schema(self.client.request(ReadSchemaRequest {})).await };
        match self.client.call(call).await {
            Ok(read) => Ok(read.into_inner().schema_text),
            Err(status) if status.code() == Code::NotFound => Ok(String::new()),
            Err(status) => Err(self.refused("tell its schema", &status)),
        }
    }

    async fn write_schema(&self, text: String) -> Result<(), OpenError> {
        let request = WriteSchemaRequest { schema: text };
        let call = || async { self.client.schema().write_schema(self.client.request(request.clone())).await };
        self.client.call(call).await.map_err(|status| self.refused("write the schema", &status))?;
        Ok(())
    }

    async fn differences(&self, wanted: &str) -> Result<Vec<Difference>, OpenError> {
        differences(&self.client, wanted).await.map_err(|status| self.refused(COMPARE, &status))
    }

    fn refused(&self, what: &'static str, status: &Status) -> OpenError {
        error::refused(&self.client.endpoint, what, status)
    }
}

/// Whether the server's schema has our definitions as they are in this text.
pub(super) async fn has(client: &Client, text: &str, ours: &Schema) -> Result<bool, Status> {
    Ok(differences_in(client, text, ours).await?.is_empty())
}

/// Those of our definitions.
async fn differences_in(client: &Client, text: &str, ours: &Schema) -> Result<Vec<Difference>, Status> {
    let mut differences = differences(client, text).await?;
    differences.retain(|one| ours.knows_type(&one.definition));
    Ok(differences)
}

async fn differences(client: &Client, wanted: &str) -> Result<Vec<Difference>, Status> {
    let request = DiffSchemaRequest { consistency: wire::fully_consistent(), comparison_schema: wanted.to_owned() };
    let call = || async { client.schema().diff_schema(client.request(request.clone())).await };
    let told = client.call(call).await?;
    Ok(told.into_inner().diffs.into_iter().filter_map(|one| one.diff).filter_map(difference).collect())
}

/// `None` for a comment.
fn difference(diff: Diff) -> Option<Difference> {
    let (definition, name, what) = match diff {
        Diff::DefinitionDocCommentChanged(_)
        | Diff::RelationDocCommentChanged(_)
        | Diff::PermissionDocCommentChanged(_)
        | Diff::CaveatDocCommentChanged(_) => return None,
        Diff::DefinitionAdded(one) => (one.name.clone(), one.name, What::DefinitionAdded),
        Diff::DefinitionRemoved(one) => (one.name.clone(), one.name, What::Removed),
        Diff::RelationAdded(one) => (one.parent_definition_name, one.name, What::Other),
        Diff::RelationRemoved(one) => (one.parent_definition_name, one.name, What::Removed),
        Diff::RelationSubjectTypeAdded(one) => subject_type(one, What::Other),
        Diff::RelationSubjectTypeRemoved(one) => subject_type(one, What::Removed),
        Diff::PermissionAdded(one) | Diff::PermissionRemoved(one) | Diff::PermissionExprChanged(one) => {
            (one.parent_definition_name, one.name, What::Other)
        }
        Diff::CaveatAdded(one) | Diff::CaveatRemoved(one) | Diff::CaveatExprChanged(one) => {
            (one.name.clone(), one.name, What::Other)
        }
        Diff::CaveatParameterAdded(one) | Diff::CaveatParameterRemoved(one) => {
            (one.parent_caveat_name, one.name, What::Other)
        }
        Diff::CaveatParameterTypeChanged(one) => {
            let parameter = one.parameter.unwrap_or_default();
            (parameter.parent_caveat_name, parameter.name, What::Other)
        }
    };
    let name = if name == definition { name } else { format!("{definition}#{name}") };
    Some(Difference { definition, name, what })
}

fn subject_type(change: ReflectionRelationSubjectTypeChange, what: What) -> (String, String, What) {
    let (relation, subject) = (change.relation.unwrap_or_default(), change.changed_subject_type.unwrap_or_default());
    let kind = match subject.typeref {
        Some(Typeref::OptionalRelationName(set)) => format!("#{set}"),
        Some(Typeref::IsPublicWildcard(true)) => ":*".to_owned(),
        _ => String::new(),
    };
    let name = format!("{}: {}{kind}", relation.name, subject.subject_definition_name);
    (relation.parent_definition_name, name, what)
}
