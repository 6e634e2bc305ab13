//! What answers mean: anything but a clear yes is no yes.

use prost::Message;
use prost_types::Any;
use sluice_subscriptions::relationships::{Consistency, RelationshipsError};
use spicedb_grpc_tonic::v1::{
    CheckBulkPermissionsResponse, check_bulk_permissions_pair::Response as Answer,
    check_permission_response::Permissionship,
};
use tonic::{Code, Status};

use super::{
    DEADLINE, ask, begin, checks, connect,
    server::{Reply, Server, each, even, told},
};

#[tokio::test]
async fn all_but_a_clear_yes_is_a_no() {
    let answer = |user: &str| match user {
        "yes" => told(Permissionship::HasPermission.into()),
        "no" => told(Permissionship::NoPermission.into()),
        "conditional" => told(Permissionship::ConditionalPermission.into()),
        "unspecified" => told(Permissionship::Unspecified.into()),
        "of-a-later-version" => told(99),
        _ => None,
    };
    let server = Server::start(each(answer)).await;
    let spicedb = connect(&server, DEADLINE, 1).await;
    let users = ["no", "conditional", "yes", "unspecified", "of-a-later-version", "absent", "yes"];
    let allowed = ask(&spicedb, &users).await.unwrap();
    assert_eq!(allowed, [false, false, true, false, false, false, true]);
}

/// `google.rpc.ErrorInfo` with a reason.
fn error_info(reason: &str) -> Any {
    let mut value = Vec::new();
    prost::encoding::string::encode(1, &reason.to_owned(), &mut value);
    Any { type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(), value }
}

/// A status in an item, by the name of the user: `unavailable`.
fn failing(user: &str) -> Option<Answer> {
    let (code, details) = match user {
        "unavailable" => (Code::Unavailable, vec![]),
        "late" => (Code::DeadlineExceeded, vec![]),
        "internal" => (Code::Internal, vec![]),
        "invalid" => (Code::InvalidArgument, vec![]),
        "no-such-relation" => (Code::FailedPrecondition, vec![]),
        "circle" => (Code::ResourceExhausted, vec![error_info("ERROR_REASON_MAXIMUM_DEPTH_EXCEEDED")]),
        "another-reason" => (Code::ResourceExhausted, vec![error_info("ERROR_REASON_UNSPECIFIED")]),
        _ => return even(user),
    };
    Some(Answer::Error(wire_status(code, "member:acme/m-1 is quoted here", details)))
}

/// Its type has no public path, so it is read from its bytes: code, message, details.
fn wire_status<T: Message + Default>(code: Code, message: &str, details: Vec<Any>) -> T {
    #[derive(Clone, PartialEq, Message)]
    struct WireStatus {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
        #[prost(message, repeated, tag = "3")]
        details: Vec<Any>,
    }
    let status = WireStatus { code: code.into(), message: message.to_owned(), details };
    T::decode(&*status.encode_to_vec()).unwrap()
}

#[tokio::test]
async fn an_error_of_one_check_is_its_callers_alone() {
    let server = Server::start(each(failing)).await;
    let spicedb = connect(&server, DEADLINE, 1).await;
    server.stall();
    let first = begin(&spicedb, Consistency::Full, checks(["first-0"])).await;
    server.was_asked(1).await;
    let mut callers = Vec::new();
    for users in [["u-0", "u-1"], ["u-0", "unavailable"], ["late", "u-0"], ["internal", "u-2"], ["u-2", "circle"]] {
        callers.push(begin(&spicedb, Consistency::Full, checks(users)).await);
    }
    server.go_on();
    first.await.unwrap();
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(caller.await.map(|checked| checked.allowed));
    }
    assert_eq!(server.requests().len(), 2);
    for answered in [&answers[0], &answers[4]] {
        assert_eq!(*answered.as_ref().unwrap(), [true, false]);
    }
    for failed in &answers[1..4] {
        assert!(matches!(failed, Err(RelationshipsError::Unavailable(why)) if !why.contains("acme")), "{failed:?}");
    }
}

#[tokio::test]
async fn a_check_that_goes_too_deep_is_a_no_and_a_passing_fault_is_none() {
    let server = Server::start(each(failing)).await;
    let spicedb = connect(&server, DEADLINE, 1).await;
    assert_eq!(ask(&spicedb, &["circle", "u-0"]).await.unwrap(), [false, true]);
    for (user, invalid) in
        [("another-reason", false), ("unavailable", false), ("invalid", true), ("no-such-relation", true)]
    {
        let error = ask(&spicedb, &["u-0", user]).await.unwrap_err();
        assert_eq!(matches!(error, RelationshipsError::Invalid(_)), invalid, "{user}: {error}");
        assert!(!error.to_string().contains("acme"), "{error}");
    }
}

/// A right reply, made wrong.
fn distorted(distort: fn(&mut CheckBulkPermissionsResponse)) -> Box<dyn Fn(Reply) -> Reply + Send + Sync> {
    Box::new(move |reply| {
        reply.map(|mut response| {
            distort(&mut response);
            response
        })
    })
}

#[tokio::test]
async fn answers_to_other_questions_are_none() {
    for distort in [
        distorted(|response| response.pairs.reverse()),
        distorted(|response| drop(response.pairs.pop())),
        distorted(|response| response.pairs.push(response.pairs[0].clone())),
        distorted(|response| response.pairs[1].request = None),
        distorted(|response| response.checked_at = None),
        distorted(|response| response.pairs.clear()),
    ] {
        let right = each(|_| told(Permissionship::HasPermission.into()));
        let server = Server::start(move |request| distort(right(request))).await;
        let spicedb = connect(&server, DEADLINE, 1).await;
        let answer = ask(&spicedb, &["u-0", "u-1"]).await;
        assert!(matches!(answer, Err(RelationshipsError::Unavailable(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_that_fails_is_an_error_of_all_its_callers() {
    for (code, invalid) in [
        (Code::Unavailable, false),
        (Code::ResourceExhausted, false),
        (Code::Unauthenticated, false),
        (Code::PermissionDenied, false),
        (Code::Internal, false),
        (Code::Unknown, false),
        (Code::InvalidArgument, true),
        (Code::FailedPrecondition, true),
        (Code::OutOfRange, true),
    ] {
        let server = Server::start(move |_| Err(Status::new(code, "member:acme/m-1 is quoted here"))).await;
        let spicedb = connect(&server, DEADLINE, 1).await;
        server.stall();
        let first = begin(&spicedb, Consistency::Full, checks(["first-0"])).await;
        server.was_asked(1).await;
        let (one, other) = (checks(["u-0"]), checks(["u-1"]));
        let callers =
            [first, begin(&spicedb, Consistency::Full, one).await, begin(&spicedb, Consistency::Full, other).await];
        server.go_on();
        for caller in callers {
            let error = caller.await.unwrap_err();
            assert_eq!(matches!(error, RelationshipsError::Invalid(_)), invalid, "{code:?}: {error}");
            assert!(!error.to_string().contains("acme"), "{error}");
        }
        assert_eq!(server.requests().len(), 2, "{code:?}: none is sent again");
    }
}
