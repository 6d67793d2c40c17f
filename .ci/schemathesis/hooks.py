"""What schemathesis cannot make up beside the demo: people who are signed in, tokens of theirs, and ids of what they have.

Every test case is somebody of its own, since some of them end with nobody signed in. Of the cases that are made to be good,
every other one gets the real thing where its schema only says "a text", so that good answers are judged, too.

TOKENBOOTH_BASE and TOKENBOOTH_MOCK are the addresses that `tokenbooth demo` prints.
"""

import itertools
import os

import requests
import schemathesis
from schemathesis.generation import GenerationMode

BASE = os.environ["TOKENBOOTH_BASE"]
MOCK = os.environ["TOKENBOOTH_MOCK"]
# The demo's administrator, by admin.emails.
ADA = {"sub": "118297636060252690398", "email": "ada@example.com", "name": "Ada Example"}
PASSWORD = "correct horse battery staple"

session = requests.Session()
numbers = itertools.count(1)
turns = itertools.count()


def somebody():
    number = next(numbers)
    return {"sub": f"2{number:020}", "email": f"person-{number}@example.com", "name": f"Person {number}"}


def from_mock(kind, person):
    answer = session.post(f"{MOCK}/mock/google/{kind}", json=person, timeout=10)
    answer.raise_for_status()
    return answer.json()[kind]


def call(method, path, token=None, **body):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = session.request(method, BASE + path, json=body or None, headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def sign_in(person):
    return call("POST", "/auth/google", id_token=from_mock("id_token", person), scope="offline_access")


@schemathesis.auth(refresh_interval=None)
class Bearer:
    def get(self, case, ctx):
        person = ADA if ctx.operation.path.startswith("/api/admin/") else somebody()
        return sign_in(person)["access_token"]

    def set(self, case, token, ctx):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}


def provider_token(case, token):
    case.path_parameters["provider"] = "google"
    case.body.pop("nonce", None)
    for member in {"id_token", "credential", "access_token", "token"} & set(case.body):
        case.body[member] = from_mock("access_token" if member == "access_token" else "id_token", somebody())


def refresh_token(case, token):
    case.body["refresh_token"] = sign_in(somebody())["refresh_token"]


def password(case, token):
    person = somebody()
    call("PUT", "/api/me/password", sign_in(person)["access_token"], new_password=PASSWORD)
    case.body |= {"email": person["email"], "password": PASSWORD}


def new_password(case, token):
    case.body["new_password"] = PASSWORD


def user(case, token):
    case.path_parameters["id"] = sign_in(somebody())["user"]["id"]


def identity(case, token):
    linked = call("POST", "/api/me/identities/google", token, id_token=from_mock("id_token", somebody()))
    case.path_parameters["id"] = linked["id"]


def own_session(case, token):
    case.path_parameters["id"] = call("GET", "/api/me/sessions", token)["items"][0]["id"]


REAL = {
    "exchange_token": provider_token,
    "link_identity": provider_token,
    "refresh": refresh_token,
    "log_out": refresh_token,
    "sign_in_with_password": password,
    "set_password": new_password,
    "unlink_identity": identity,
    "end_session": own_session,
    "show_user": user,
    "update_user": user,
    "delete_user": user,
    "revoke_tokens": user,
}


@schemathesis.hook
def before_call(context, case, kwargs):
    make_real = REAL.get(case.operation.definition.raw.get("operationId"))
    made_to_be_good = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    bearer = str((case.headers or {}).get("Authorization", ""))
    has_what_it_takes = isinstance(case.body, dict) or make_real in {identity, own_session, user}
    if make_real and made_to_be_good and has_what_it_takes and next(turns) % 2 == 0:
        try:
            make_real(case, bearer.removeprefix("Bearer "))
        except requests.HTTPError:
            # A case without a token of its own; it stays what it is.
            pass
