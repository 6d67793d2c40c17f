// @generated automatically by Diesel CLI.

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
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        email -> Nullable<Text>,
        email_lower -> Nullable<Text>,
        name -> Nullable<Text>,
        avatar_url -> Nullable<Text>,
        admin -> Bool,
        disabled -> Bool,
        token_version -> BigInt,
        password_hash -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
        last_login_at -> Nullable<BigInt>,
    }
}

diesel::joinable!(identities -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(identities, users);
