#!/usr/bin/env bash
# Signs in by way of a browser with nothing but curl, twice: as the browser itself, and as an app that a browser brings a code.
#
#   examples/clients/curl/sign-in.sh BASE     # the first address that `tokenbooth demo` prints
#
# Where a person would look at the provider's page and choose, this adds what the demo's mock takes for a choice. Each step says
# what came back, and ends the script when that is not what it should be. Needs openssl for the challenge of RFC 7636.
set -euo pipefail
base=${1:?usage: sign-in.sh BASE}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# request ARGUMENT…: sets `status` and `location`; the body is in a file.
request() {
    local written
    written=$(curl --silent --show-error --max-time 10 --output "$folder/body" --write-out '%{http_code} %{redirect_url}' "$@")
    status=${written%% *} location=${written#* }
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

echo 'As a browser, whose session is in cookies:'
# curl keeps Secure cookies for http://127.0.0.1, as browsers do (since 7.79); elsewhere they want https.
jar=(--cookie "$folder/jar" --cookie-jar "$folder/jar")
request "${jar[@]}" "$base/auth/google/login?redirect_to=/account"
expect 302 'sent to the provider'
request "$location&mock_person=alice"
expect 302 'Alice says yes there, and is sent back'
request "${jar[@]}" "$location"
expect 302 "signed in, and on to ${location#"$base"}"
request "${jar[@]}" "$base/api/me"
expect 200 "her account: $(text name)"
request "${jar[@]}" --request POST "$base/auth/logout"
expect 403 'whoever sends a cookie must prove that one of our own pages asks'
# A browser adds this by itself, and no page can forge it.
request "${jar[@]}" --request POST --header "Origin: $base" "$base/auth/refresh"
expect 200 'the session is renewed'
request "${jar[@]}" --request POST --header "Origin: $base" --dump-header "$folder/head" "$base/auth/logout"
expect 204 'signed out'
# Not proved with the jar: curl 7.88 reads it once more before it writes it, and so keeps what an answer takes back.
[ "$(grep -ciE '^set-cookie: [^=]+=;.*max-age=0' "$folder/head")" = 4 ] || { cat "$folder/head" >&2 && exit 1; }
echo '       and the answer takes all four cookies back'

echo 'As an app, which gets a code:'
random() { openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n'; }
verifier=$(random) state=$(random)
challenge=$(printf %s "$verifier" | openssl dgst -sha256 -binary | openssl base64 | tr '+/' '-_' | tr -d '=\n')
# Nobody listens there: what a browser would bring is read from the redirect itself.
redirect_uri=http://127.0.0.1:4711/callback
: >"$folder/jar"
request "${jar[@]}" --get --data-urlencode "redirect_to=$redirect_uri" --data "state=$state" \
    --data "code_challenge=$challenge" --data code_challenge_method=S256 "$base/auth/github/login"
expect 302 'sent to the provider'
request "$location&mock_person=alice"
expect 302 'Alice says yes there, and is sent back'
request "${jar[@]}" "$location"
expect 302 'and on to the app, with a code'
case $location in
    "$redirect_uri?"*"state=$state&iss="*) ;;
    *) echo "this is not the app's address with its state and our issuer: $location" >&2 && exit 1 ;;
esac
code=$(sed -E 's/.*[?&]code=([^&]*).*/\1/' <<<"$location")
token() {
    request --data grant_type=authorization_code --data "code=$code" --data-urlencode "redirect_uri=$redirect_uri" \
        --data "code_verifier=$verifier" --data client_id=app --data scope=offline_access "$base/oauth/token"
}
token
expect 200 "tokens for $(text name)"
jwt=$(text access_token) refresh=$(text refresh_token)
request --header "Authorization: Bearer $jwt" "$base/api/me"
expect 200 'her account'
request --json "{\"refresh_token\":\"$refresh\"}" "$base/auth/refresh"
expect 200 'the next tokens'
refresh=$(text refresh_token)
request --json "{\"refresh_token\":\"$refresh\"}" "$base/auth/logout"
expect 204 'signed out'
request --json "{\"refresh_token\":\"$refresh\"}" "$base/auth/refresh"
expect 401 'and none of them is valid any more'
token
expect 400 'the code is used up. While its session lasts, a second exchange ends that session: somebody else has code and verifier'
