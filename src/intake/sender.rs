//! Who sends a report: the key, from wherever the client names it, and the project it must fit.

use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderName};
use actix_web::{HttpRequest, web};

use super::Intake;
use super::dialect::Dialect;
use super::endpoint::Call;
use super::refusal::{RETRY_AFTER, Refusal};
use crate::auth::keys::KeyLookup;
use crate::domain::id::ProjectId;
use crate::domain::project::ProjectKey;
use crate::protocol::auth::{ClientAuth, checked_key};
use crate::protocol::dsn::Dsn;

const X_SENTRY_AUTH: HeaderName = HeaderName::from_static("x-sentry-auth");
const X_AIRBRAKE_TOKEN: HeaderName = HeaderName::from_static("x-airbrake-token");

/// Who sends a report.
pub(super) struct Sender {
    /// The key, checked for its form.
    pub(super) public_key: String,
    /// The project reports are for.
    pub(super) project_id: ProjectId,
    /// Whether it is known; false while the store is away and nobody can say.
    pub(super) is_verified: bool,
    /// The key itself, when it is known.
    pub(super) key: Option<Arc<ProjectKey>>,
}

/// Finds the key, which must be active and belong to `project`, where the address names one.
pub(super) async fn authenticate(
    intake: &Intake,
    public_key: &str,
    project: Option<ProjectId>,
) -> Result<Sender, Refusal> {
    let public_key =
        checked_key(public_key).map_err(|cause| Refusal::forbidden("bad_key", cause))?;
    match intake.keys.find(&public_key).await {
        KeyLookup::Known(key) if project.is_some_and(|project| project != key.project_id) => {
            Err(unknown_key(project))
        }
        KeyLookup::Known(key) if !key.is_active => {
            Err(Refusal::forbidden("inactive_key", "the key is switched off"))
        }
        KeyLookup::Known(key) => {
            let project_id = key.project_id;
            Ok(Sender { public_key, project_id, is_verified: true, key: Some(Arc::new(key)) })
        }
        KeyLookup::Unknown => Err(unknown_key(project)),
        KeyLookup::Busy => Err(Refusal::later(
            "keys_busy",
            "too many unknown keys are being looked up",
            RETRY_AFTER,
        )),
        KeyLookup::StoreAway => match project {
            Some(project_id) => {
                Ok(Sender { public_key, project_id, is_verified: false, key: None })
            }
            None => Err(Refusal::later(
                "keys_away",
                "the project of this key cannot be looked up now; name it in the address",
                RETRY_AFTER,
            )),
        },
    }
}

fn unknown_key(project: Option<ProjectId>) -> Refusal {
    let detail = match project {
        Some(project) => format!("project {project} does not exist or has no such key"),
        None => "no project has such a key".to_owned(),
    };
    Refusal::forbidden("unknown_key", detail)
}

/// Nothing names a key.
pub(super) fn no_key(dialect: Dialect) -> Refusal {
    let detail = match dialect {
        Dialect::Sentry => "no key: send X-Sentry-Auth, ?sentry_key= or the envelope's dsn",
        Dialect::Airbrake => "no key: send Authorization: Bearer KEY, ?key= or X-Airbrake-Token",
        Dialect::Hoptoad => "no key: the first element of the notice must be api-key",
    };
    Refusal::forbidden("no_key", detail)
}

/// The project in the address; `None` for an address that has no place for one.
pub(super) fn project_of(request: &HttpRequest) -> Result<Option<ProjectId>, Refusal> {
    let Some(text) = request.match_info().get("project_id") else { return Ok(None) };
    let id = text.parse().ok().filter(|id| *id > 0);
    id.map(|id| Some(ProjectId(id))).ok_or_else(|| {
        Refusal::forbidden("unknown_key", "the project in the address is not a number")
    })
}

/// What headers and query say.
pub(super) fn auth_of(request: &HttpRequest, dialect: Dialect) -> Result<ClientAuth, Refusal> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let query = query.map(web::Query::into_inner).unwrap_or_default();
    let places = match dialect {
        Dialect::Sentry => vec![
            header(request, &X_SENTRY_AUTH)
                .map_or(Ok(ClientAuth::default()), ClientAuth::from_header),
            ClientAuth::from_parameters(
                query.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            ),
        ],
        Dialect::Airbrake | Dialect::Hoptoad => {
            let bearer = header(request, &AUTHORIZATION).and_then(bearer);
            let token = header(request, &X_AIRBRAKE_TOKEN);
            let named = query.iter().filter(|(name, _)| name == "key");
            let keys = bearer.into_iter().chain(token);
            let keys = keys.chain(named.map(|(_, value)| value.as_str()));
            keys.map(ClientAuth::from_key).collect()
        }
    };
    places.into_iter().try_fold(ClientAuth::default(), |all, one| {
        let one = one.map_err(|cause| Refusal::forbidden("bad_key", cause))?;
        all.and(one).map_err(|cause| Refusal::forbidden("contradiction", cause))
    })
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key)
}

/// An envelope's own `dsn` must agree with what else was said; where nothing was, it is the key,
/// and behind a tunnel the project too.
pub(super) async fn check_dsn(call: &mut Call<'_>, dsn: Option<&str>) -> Result<(), Refusal> {
    let Some(dsn) = dsn else {
        return if call.sender.is_some() { Ok(()) } else { Err(no_key(Dialect::Sentry)) };
    };
    let dsn: Dsn = dsn.parse().map_err(|cause| Refusal::forbidden("bad_dsn", cause))?;
    let project = call.project.or(call.sender.as_ref().map(|sender| sender.project_id));
    if project.is_some_and(|project| project != dsn.project_id) {
        let detail = "the envelope's dsn names another project";
        return Err(Refusal::forbidden("contradiction", detail));
    }
    let own = ClientAuth { key: Some(dsn.public_key.clone()), client: None };
    call.auth.clone().and(own).map_err(|cause| Refusal::forbidden("contradiction", cause))?;
    if call.sender.is_none() {
        let sender = authenticate(call.intake, &dsn.public_key, Some(dsn.project_id)).await?;
        call.sender = Some(sender);
    }
    Ok(())
}

/// A header as text.
pub(super) fn header<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}
