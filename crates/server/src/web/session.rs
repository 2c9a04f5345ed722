//! Logging in and out: a token is exchanged for a session of a week.

use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use model::Secret;
use serde::Deserialize;

use super::pages::{ErrorPage, LoginPage, render};
use crate::App;
use crate::auth::{Caller, Scope};
use crate::http::{ApiError, COOKIE_NAME, session_token};
use crate::store::{NewToken, now};

/// How long a session lasts, in seconds.
const LIFETIME: i64 = 7 * 24 * 3600;

#[derive(Deserialize)]
pub(super) struct Next {
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct LogIn {
    token: Secret,
    next: Option<String>,
}

pub(super) async fn form(Query(query): Query<Next>) -> Response {
    render(&LoginPage {
        next: local(query.next),
        wrong: false,
    })
}

pub(super) async fn log_in(State(app): State<Arc<App>>, Form(form): Form<LogIn>) -> Response {
    match session(&app, &form.token).await {
        Ok(Some(session)) => {
            let cookie = cookie(&app, session.expose(), LIFETIME);
            let next = local(form.next);
            ([(header::SET_COOKIE, cookie)], Redirect::to(&next)).into_response()
        }
        Ok(None) => {
            let page = LoginPage {
                next: local(form.next),
                wrong: true,
            };
            (StatusCode::UNAUTHORIZED, render(&page)).into_response()
        }
        Err(error) => ErrorPage::from(error).into_response(),
    }
}

pub(super) async fn log_out(
    State(app): State<Arc<App>>,
    request: axum::extract::Request,
) -> Response {
    let (parts, _) = request.into_parts();
    if let Some(token) = session_token(&parts)
        && let Err(error) = app.store.forget_token(&token).await
    {
        return ErrorPage::from(ApiError::from(error)).into_response();
    }
    let cookie = cookie(&app, "", 0);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/-/login")).into_response()
}

/// A session for whoever holds a token that opens everything.
async fn session(app: &App, token: &Secret) -> Result<Option<Secret>, ApiError> {
    let token = Secret::new(token.expose().trim());
    let caller = Caller::of_token(&app.store, &token).await?;
    let Some(user) = caller.as_ref().and_then(Caller::user) else {
        return Ok(None);
    };
    if !user.has_scope(Scope::Api) {
        return Ok(None);
    }
    let session = Secret::random("lots-");
    app.store
        .create_token(NewToken {
            user: user.user.id,
            kind: "session",
            name: "logged in on the pages",
            scopes: "api",
            expires_at: Some(now() + LIFETIME * 1000),
            text: &session,
        })
        .await?;
    Ok(Some(session))
}

fn cookie(app: &App, value: &str, max_age: i64) -> String {
    let secure = if app.addresses.scheme() == "https" {
        "; Secure"
    } else {
        ""
    };
    format!("{COOKIE_NAME}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}")
}

/// An address on this server only: nobody is sent elsewhere by a link to the log-in page.
fn local(next: Option<String>) -> String {
    next.filter(|next| next.starts_with('/') && !next.starts_with("//") && !next.contains('\\'))
        .unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn only_our_own_addresses_follow_a_log_in() {
        for (next, expected) in [
            ("/a/b", "/a/b"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil.example", "/"),
        ] {
            assert_eq!(local(Some(next.to_owned())), expected);
        }
    }
}
