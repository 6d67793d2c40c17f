// @generated automatically by Diesel CLI.

diesel::table! {
    clients (id) {
        id -> Text,
        name -> Text,
        scopes -> Text,
        secret_hash -> Text,
        previous_secret_hash -> Nullable<Text>,
        disabled -> Bool,
        created_at -> BigInt,
        rotated_at -> Nullable<BigInt>,
        audiences -> Text,
        tokens_from -> Nullable<BigInt>,
    }
}

diesel::table! {
    ended_sessions (id) {
        id -> Text,
        ended_at -> BigInt,
    }
}

diesel::table! {
    events (id) {
        id -> Text,
        at -> BigInt,
        kind -> Text,
        actor_id -> Nullable<Text>,
        user_id -> Nullable<Text>,
        ip -> Nullable<Text>,
        request_id -> Nullable<Text>,
        detail -> Text,
        refused_key -> Nullable<Text>,
    }
}

diesel::table! {
    identities (id) {
        id -> Text,
        user_id -> Text,
        provider -> Text,
        provider_id -> Text,
        email -> Nullable<Text>,
        gives_email -> Bool,
        created_at -> BigInt,
        last_used_at -> BigInt,
        verified_email -> Nullable<Text>,
        recent_sign_ins -> Nullable<Text>,
    }
}

diesel::table! {
    provider_issuers (name) {
        name -> Text,
        issuer -> Text,
        accepted_at -> BigInt,
    }
}

diesel::table! {
    removed_identities (identity_hash) {
        identity_hash -> Text,
        removed_at -> BigInt,
    }
}

diesel::table! {
    revocations (subject) {
        subject -> Text,
        token_version -> BigInt,
        revoked_at -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> Text,
        token_version -> BigInt,
        handle_hash -> Text,
        secret_hash -> Text,
        previous_secret_hash -> Nullable<Text>,
        rotated_at_ms -> Nullable<BigInt>,
        device -> Nullable<Text>,
        ip -> Nullable<Text>,
        created_at -> BigInt,
        last_used_at -> BigInt,
        auth_time -> Nullable<BigInt>,
        idp -> Nullable<Text>,
        repeats -> BigInt,
    }
}

diesel::table! {
    signing_keys (id) {
        id -> Text,
        algorithm -> Text,
        sealed -> Nullable<Text>,
        created_at -> BigInt,
        signs_from -> Nullable<BigInt>,
        retired_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    spent_codes (id) {
        id -> Text,
        expires_at -> BigInt,
        session_id -> Nullable<Text>,
    }
}

diesel::table! {
    token_secrets (id) {
        id -> Text,
        signs_from -> BigInt,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        email -> Nullable<Text>,
        name -> Nullable<Text>,
        avatar_url -> Nullable<Text>,
        admin -> Bool,
        disabled -> Bool,
        token_version -> BigInt,
        password_hash -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        last_login_at -> Nullable<BigInt>,
        email_lower -> Nullable<Text>,
        name_lower -> Nullable<Text>,
        own_name -> Bool,
        own_avatar -> Bool,
        revoked_at -> Nullable<BigInt>,
        password_sign_ins -> Nullable<Text>,
        email_unproved -> Bool,
    }
}

diesel::joinable!(identities -> users (user_id));
diesel::joinable!(sessions -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(
    clients,
    ended_sessions,
    events,
    identities,
    provider_issuers,
    removed_identities,
    revocations,
    sessions,
    signing_keys,
    spent_codes,
    token_secrets,
    users,
);
