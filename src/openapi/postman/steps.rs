//! What a request is to be sent with so that it succeeds beside the demo, where the document does not say it, and in which
//! order. A request that is not here is sent with what its schemas have.

/// One request.
pub(super) struct Step {
    operation: &'static str,
    /// Parameters that are sent although they may be left out.
    pub(super) parameters: &'static [(&'static str, &'static str)],
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// The members of its body; made from the schema when there are none.
    pub(super) body: &'static [(&'static str, &'static str)],
    /// It takes something away, which only the method DELETE says by itself.
    pub(super) last: bool,
    /// What is done with a good `answer`.
    pub(super) then: &'static str,
}

const fn step(operation: &'static str) -> Step {
    Step { operation, parameters: &[], headers: &[], body: &[], last: false, then: "" }
}

const STEPS: [Step; 33] = [
    Step {
        body: &[("id_token", "{{id_token}}"), ("scope", "offline_access")],
        then: "pm.environment.set(\"email\", answer.user.email);",
        ..step("exchange_token")
    },
    step("sign_in_with_password"),
    Step {
        body: &[
            ("grant_type", "authorization_code"),
            ("code", "{{app_code}}"),
            ("redirect_uri", "{{mock_url}}/callback"),
            ("code_verifier", "{{code_verifier}}"),
            ("scope", "offline_access"),
        ],
        ..step("issue_token")
    },
    step("refresh"),
    Step { last: true, then: "pm.environment.unset(\"refresh_token\");", ..step("log_out") },
    Step { last: true, ..step("log_out_everywhere") },
    Step { parameters: &[("redirect_to", "/account")], ..step("begin_sign_in") },
    Step {
        headers: &[("Origin", "{{base_url}}")],
        body: &[
            ("redirect_to", "{{mock_url}}/callback"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ],
        ..step("agree_to_app_sign_in")
    },
    Step { parameters: &[("state", "{{state}}"), ("code", "{{code}}")], ..step("finish_sign_in") },
    // The session is the cookie that the request before has left, and this is what a browser proves a page of ours with.
    Step { headers: &[("Origin", "{{base_url}}")], ..step("begin_link") },
    step("show_me"),
    step("update_me"),
    Step {
        parameters: &[("provider", "github")],
        body: &[("access_token", "{{github_token}}")],
        then: "pm.environment.set(\"identity_id\", answer.id);",
        ..step("link_identity")
    },
    step("list_identities"),
    step("set_password"),
    Step {
        then: "const other = answer.items.find((session) => !session.current);\n\
               if (other) pm.environment.set(\"session_id\", other.id);",
        ..step("list_sessions")
    },
    step("unlink_identity"),
    step("end_session"),
    step("remove_password"),
    step("delete_me"),
    step("list_users"),
    step("list_events"),
    step("show_user"),
    Step { body: &[("name", "Bob Example")], ..step("update_user") },
    step("list_identities_of_user"),
    Step { last: true, ..step("revoke_tokens") },
    Step { parameters: &[("identity_id", "{{other_identity_id}}")], ..step("unlink_identity_of_user") },
    step("remove_password_of_user"),
    step("delete_user"),
    step("process_health"),
    step("readiness"),
    step("metrics"),
    step("openapi_document"),
];

/// The step of an operation.
pub(super) fn of(operation: &str) -> Option<&'static Step> {
    STEPS.iter().find(|step| step.operation == operation)
}

/// Where an operation stands among the steps; behind all when it is none.
pub(super) fn rank(operation: &str) -> usize {
    STEPS.iter().position(|step| step.operation == operation).unwrap_or(STEPS.len())
}
