#!/usr/bin/env bash
# A service without a person signs in for itself (RFC 6749 §4.4), with nothing but curl.
#
#   tokenbooth client create "Night job" --scope reports.read     # prints the id and the secret, once
#   CLIENT_ID=… CLIENT_SECRET=… examples/clients/curl/service.sh BASE
#
# Each step says what came back, and ends the script when that is not what it should be.
set -euo pipefail
base=${1:?usage: CLIENT_ID=… CLIENT_SECRET=… service.sh BASE}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Not with --user: a process list shows arguments to everybody on the machine.
(umask 077 && printf 'user = "%s:%s"\n' "${CLIENT_ID:?}" "${CLIENT_SECRET:?}" >"$folder/client")

# request ARGUMENT…: sets `status`; the body is in a file.
request() {
    status=$(curl --silent --show-error --max-time 10 --output "$folder/body" --write-out '%{http_code}' "$@")
}

# expect STATUS WHAT
expect() {
    printf '  %s  %s\n' "$status" "$2"
    [ "$status" = "$1" ] && return
    printf 'expected %s, and this is the answer:\n%s\n' "$1" "$(cat "$folder/body")" >&2
    exit 1
}

# A member of the last answer that is a text.
text() { grep -oE "\"$1\":\"[^\"]*\"" "$folder/body" | head -n 1 | cut -d'"' -f4; }

request --config "$folder/client" --data grant_type=client_credentials "$base/oauth/token"
expect 200 "a token for the scopes: $(text scope)"
token=$(text access_token) scope=$(text scope)
request --config "$folder/client" --data grant_type=client_credentials --data "scope=${scope%% *}" "$base/oauth/token"
expect 200 "one for less: $(text scope)"
request --config "$folder/client" --data grant_type=client_credentials --data scope=everything "$base/oauth/token"
expect 400 "none for more than it was made with: $(text error)"
request --data grant_type=client_credentials --data "client_id=$CLIENT_ID" --data client_secret=wrong "$base/oauth/token"
expect 401 "nor for a wrong secret: $(text error)"
request --header "Authorization: Bearer $token" "$base/api/me"
expect 401 'and at a route for people a service is nobody'
