"""Signs in with a token that your app already has from Google or GitHub, and calls the API with what it gets for it.

    python exchange.py BASE google TOKEN     an ID token, or an access token ("ya29.…")
    python exchange.py BASE github TOKEN     an access token
    python exchange.py BASE --demo MOCK      both, with tokens that the mock of `tokenbooth demo` hands out

BASE and MOCK are the two addresses that the demo prints first. Needs httpx (`pip install httpx`). Exits with 1 when the sign-in
is refused, or something cannot be reached.
"""

import sys

import httpx


class Refused(Exception):
    """An answer of `application/problem+json` (RFC 9457). `code` is what a program decides by, `detail` is for people."""

    def __init__(self, answer: httpx.Response):
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        problem = answer.json() if is_problem else {}
        self.status = answer.status_code
        self.code = problem.get("code", "")
        self.retry_after = answer.headers.get("retry-after")
        super().__init__(problem.get("detail", f"{answer.url} answers {self.status}"))


def sign_in(client: httpx.Client, provider: str, token: str) -> dict:
    # An ID token is a JWT and has two dots; `{"token": …}` would leave the choice to tokenbooth.
    kind = "id_token" if token.count(".") == 2 and not token.startswith("ya29.") else "access_token"
    return expect_ok(client.post(f"/auth/{provider}", json={kind: token}))


def show_account(client: httpx.Client, access_token: str) -> dict:
    return expect_ok(client.get("/api/me", headers={"Authorization": f"Bearer {access_token}"}))


def expect_ok(answer: httpx.Response) -> dict:
    if answer.is_success:
        return answer.json()
    raise Refused(answer)


def explain(refused: Refused) -> str:
    """What a program can do about it."""
    if refused.retry_after:
        return f"come back in {refused.retry_after} s: {refused}"
    match refused.code:
        case "token_expired":
            return f"get a fresh token from the provider: {refused}"
        case "audience_mismatch":
            return f"the token is another app's, or tokenbooth's settings lack yours: {refused}"
        case "user_disabled":
            return f"an administrator has disabled the account: {refused}"
        case _:
            return f"{refused.status} {refused.code}: {refused}"


def use(client: httpx.Client, provider: str, token: str) -> None:
    answer = sign_in(client, provider, token)
    welcome = "welcome" if answer["created"] else "welcome back"
    print(f"{provider}: {welcome}, signed in for {answer['expires_in']} s")
    account = show_account(client, answer["access_token"])
    print(f"GET /api/me: {account['name']} <{account['email']}>, user {account['id']}")


def demo(client: httpx.Client, mock: str) -> None:
    for provider, path in [
        ("google", "google/id_token"),
        ("google", "google/access_token"),
        ("github", "github/access_token"),
    ]:
        (token,) = httpx.get(f"{mock}/mock/{path}").raise_for_status().json().values()
        use(client, provider, token)
    # What each refusal looks like to a program: the second is of a good ID token of Google's, made for somebody else's app.
    other = httpx.post(f"{mock}/mock/google/id_token", json={"aud": "another-app"}).json()["id_token"]
    for provider, token, code in [
        ("github", "made up", "invalid_token"),
        ("google", other, "audience_mismatch"),
    ]:
        try:
            sign_in(client, provider, token)
        except Refused as refused:
            print(f"refused, as it should be: {explain(refused)}")
            if refused.code != code:
                sys.exit(f"expected {code}")
        else:
            sys.exit(f"{provider} took a token that it should refuse")


def main(arguments: list[str]) -> None:
    if len(arguments) != 3:
        sys.exit(__doc__)
    base, what, value = arguments
    with httpx.Client(base_url=base, timeout=10) as client:
        try:
            demo(client, value) if what == "--demo" else use(client, what, value)
        except Refused as refused:
            sys.exit(explain(refused))
        except httpx.TransportError as error:
            sys.exit(f"{base} cannot be reached: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
