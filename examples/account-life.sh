#!/usr/bin/env bash
# The whole life of an account with curl: sign in, stay signed in, link, password, be disabled, be enabled, leave.
#
#   examples/account-life.sh                  # starts `tokenbooth demo` for itself
#   examples/account-life.sh BASE MOCK        # against one that runs, as it prints its two addresses
#
# Each step says what it does and what came back, and ends the script when that is not what it should be. The demo's mock
# hands out what Google and GitHub would: with real ones, your app gets these tokens from their sign-in.
set -euo pipefail

folder=$(mktemp -d)
demo=
trap '[ -z "$demo" ] || kill "$demo" 2>/dev/null; rm -rf "$folder"' EXIT

if [ $# -eq 2 ]; then
    base=$1 mock=$2
else
    cd "$(dirname "$0")/.."
    cargo build --quiet
    cargo run --quiet -- demo >"$folder/demo" &
    demo=$!
    until grep -q 'Ctrl-C' "$folder/demo"; do
        kill -0 "$demo" || exit 1
        sleep 0.2
    done
    base=$(sed -nE 's/^tokenbooth on (http[^,]*),.*/\1/p' "$folder/demo")
    mock=$(sed -nE 's/.* on (http[^ ]*)$/\1/p' "$folder/demo" | head -n 1)
fi

# What the last answer was.
status=
body() { cat "$folder/body"; }
# A member of the last answer that is a text; the first of that name.
text() { body | grep -oE "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d'"' -f4; }

# call METHOD PATH [JSON] [BEARER]
call() {
    local arguments=(--silent --show-error --max-time 10 --request "$1" --output "$folder/body" --write-out '%{http_code}')
    if [ -n "${3:-}" ]; then arguments+=(--header 'Content-Type: application/json' --data-binary "$3"); fi
    if [ -n "${4:-}" ]; then arguments+=(--header "Authorization: Bearer $4"); fi
    status=$(curl "${arguments[@]}" "$base$2")
}

# expect STATUS WHAT
expect() {
    printf '  %s  %s\n' "$status" "$2"
    [ "$status" = "$1" ] && return
    printf 'expected %s, and this is the answer:\n%s\n' "$1" "$(body)" >&2
    exit 1
}

# expect_text TEXT: the last answer has it.
expect_text() {
    grep -qF -- "$1" "$folder/body" && return
    printf 'expected %s in the answer, which is:\n%s\n' "$1" "$(body)" >&2
    exit 1
}

# A person's ID token from the mock Google; `scope` asks for a refresh token.
google() {
    local token
    token=$(curl --silent --show-error --fail --data "{\"sub\":\"$1\",\"email\":\"$2@example.com\",\"name\":\"$2\"}" \
        "$mock/mock/google/id_token" | sed -E 's/.*"id_token":"([^"]*)".*/\1/')
    printf '{"id_token":"%s","scope":"offline_access"}' "$token"
}

# The same person every run would have an account already.
sub="9$(date +%s%N)"
name="eve-$sub"

echo "Eve signs in with Google, and asks to stay signed in:"
call POST /auth/google "$(google "$sub" "$name")"
expect 200 'tokens and a new user'
expect_text '"created":true'
jwt=$(text access_token) refresh=$(text refresh_token) id=$(text id)
call GET /api/me '' "$jwt"
expect 200 'her account'
call PATCH /api/me '{"name":"Eve"}' "$jwt"
expect 200 'a name of her own'
expect_text '"name":"Eve"'

echo "A second way in:"
github=$(curl --silent --show-error --fail --data "{\"id\":${sub:0:15},\"login\":\"eve\"}" "$mock/mock/github/access_token")
call POST /api/me/identities/github "$github" "$jwt"
expect 201 'her GitHub account, proved by a token of it'
call POST /auth/github "$github"
expect 200 'GitHub lets the same user in'
expect_text "$id"
call GET /api/me/identities '' "$jwt"
expect 200 'both are listed'
call POST /auth/google "$(google "8$sub" "mallory")"
mallory=$(text access_token)
call POST /api/me/identities/github "$github" "$mallory"
expect 409 'nobody else gets it: identity_in_use'

echo "A password:"
call PUT /api/me/password '{"new_password":"password1234"}' "$jwt"
expect 400 'not one that everybody tries first: weak_password'
call PUT /api/me/password '{"new_password":"correct horse battery staple"}' "$jwt"
expect 204 'set, on the e-mail that Google verified'
call POST /auth/password "{\"email\":\"$name@example.com\",\"password\":\"correct horse battery staple\"}"
expect 200 'it lets her in'
expect_text "$id"
call POST /auth/password "{\"email\":\"$name@example.com\",\"password\":\"wrong horse battery staple\"}"
expect 401 'another does not'

echo "Staying signed in:"
call GET /api/me/sessions '' "$jwt"
expect 200 'one device'
expect_text '"current":true'
call POST /auth/refresh "{\"refresh_token\":\"$refresh\"}"
expect 200 'the next tokens'
second=$(text refresh_token)
call POST /auth/refresh "{\"refresh_token\":\"$refresh\"}"
expect 200 'the answer was lost? The same request gets the same token'
expect_text "$second"
call POST /auth/refresh "{\"refresh_token\":\"$second\"}"
expect 200 'and the next'
third=$(text refresh_token)
call POST /auth/refresh "{\"refresh_token\":\"$refresh\"}"
expect 401 'a thief comes with the first one'
call POST /auth/refresh "{\"refresh_token\":\"$third\"}"
expect 401 'so the whole session has ended'
call GET /api/me '' "$jwt"
expect 401 'with every access token of it'
call POST /auth/google "$(google "$sub" "$name")"
expect 200 'she signs in again'
jwt=$(text access_token)
call POST /auth/logout-all '' "$jwt"
expect 204 'logged out everywhere'
call GET /api/me '' "$jwt"
expect 401 'the very next request is refused'
call POST /auth/google "$(google "$sub" "$name")"
expect 200 'she signs in again'
jwt=$(text access_token)

echo "An administrator (admin.emails):"
# As the demo knows her.
call POST /auth/google "$(google 118297636060252690398 ada)"
expect 200 'Ada signs in'
ada=$(text access_token) ada_id=$(text id)
call GET "/api/admin/users?q=$name" '' "$ada"
expect 200 'finds Eve'
expect_text "$id"
call GET /api/admin/users '' "$jwt"
expect 403 'which Eve may not: admin_required'
call PATCH "/api/admin/users/$id" '{"disabled":true}' "$ada"
expect 200 'disables her'
call GET /api/me '' "$jwt"
expect 401 'Eve is out at the next request'
call POST /auth/google "$(google "$sub" "$name")"
expect 403 'and cannot come back: user_disabled'
call PATCH "/api/admin/users/$id" '{"disabled":false}' "$ada"
expect 200 'until she is enabled'
call PATCH "/api/admin/users/$ada_id" '{"admin":false}' "$ada"
expect 409 'there must be an administrator: last_admin'
call GET "/api/admin/events?user_id=$id" '' "$ada"
expect 200 'the audit trail has all of it'
for kind in sign_in.first identity.linked password.set refresh.reused tokens.revoked user.disabled user.enabled; do
    expect_text "\"$kind\""
done

echo "Leaving:"
call POST /auth/google "$(google "$sub" "$name")"
jwt=$(text access_token)
call DELETE /api/me '' "$jwt"
expect 204 'Eve deletes her account'
call GET /api/me '' "$jwt"
expect 401 'nothing of it is left'
call POST /auth/google "$(google "$sub" "$name")"
expect 200 'whoever comes with that identity now is somebody new'
expect_text '"created":true'
echo "That was a whole life."
