// A single-page app whose session is in cookies that no script can read: Google's button hands it a credential, tokenbooth makes a
// session of it, and the API is called with fetch. Compiled and served by
//
//     tsc --project examples/clients/typescript
//     cargo run --example customers -- --mock --app target/single-page-app
//
// (`tsc` is in `apt install node-typescript`, or `npm install --global typescript`). It is served from tokenbooth's own origin, or
// from behind the same reverse proxy: the browser then proves by itself, with `Origin`, that our own page asks.

interface User { name: string | null; email: string | null; admin: boolean }
interface Customer { id: number; name: string; email: string; owes_cents?: number }

/** Of Google's library, what is used here: https://developers.google.com/identity/gsi/web/reference/js-reference */
declare const google: { accounts: { id: {
    initialize(options: { client_id: string; nonce: string; callback: (answer: { credential: string }) => void }): void;
    renderButton(parent: HTMLElement, options: { type: "standard" }): void;
    disableAutoSelect(): void;
} } } | undefined;

const signInPage = `/sign-in?redirect_to=${encodeURIComponent(location.pathname + location.search)}`;

function element(id: string): HTMLElement {
    const found = document.getElementById(id);
    if (found === null) throw new Error(`the page has no #${id}`);
    return found;
}

let renewal: Promise<boolean> | undefined;

/** Many requests may find at once that the session has run out. */
function renewSession(): Promise<boolean> {
    renewal ??= fetch("/auth/refresh", { method: "POST" })
        .then((answer) => answer.ok)
        .finally(() => { renewal = undefined; });
    return renewal;
}

/** As fetch, with the session renewed when that is all that is missing. */
async function call(path: string, options: RequestInit = {}): Promise<Response> {
    const answer = await fetch(path, options);
    return answer.status === 401 && (await renewSession()) ? fetch(path, options) : answer;
}

/** The body of a good answer. Who is not signed in any more, by an administrator's doing perhaps, goes to sign in and comes back. */
async function read<T>(answer: Response): Promise<T> {
    if (answer.ok) return (await answer.json()) as T;
    if (answer.status === 401) location.assign(signInPage);
    const problem = await answer.json().catch(() => ({})) as { detail?: string };
    throw new Error(problem.detail ?? `status ${answer.status}`);
}

async function signIn(credential: string, nonce: string): Promise<void> {
    const body = JSON.stringify({ credential, nonce, mode: "cookie" });
    const headers = { "Content-Type": "application/json" };
    await read(await fetch("/auth/google", { method: "POST", headers, body }));
    await show();
}

async function signOut(): Promise<void> {
    const end = () => fetch("/auth/logout", { method: "POST" });
    // A session that ran out has no cookie to say which one is to end, and could still be renewed.
    if (!(await end()).ok && (await renewSession())) await end();
    // Otherwise Google would sign the same person in again at once.
    google?.accounts.id.disableAutoSelect();
    await show();
}

async function show(): Promise<void> {
    const me = await call("/api/me");
    const user = me.status === 401 ? null : await read<User>(me);
    const who = user === null ? "Nobody is signed in" : user.name ?? user.email ?? "Signed in";
    element("who").textContent = user?.admin ? `${who}, administrator` : who;
    element("sign-out").hidden = element("member").hidden = user === null;
    element("visitor").hidden = user !== null;
    element("customers").replaceChildren();
    if (user === null) offerGoogle();
    else await showCustomers(user.admin);
}

async function showCustomers(admin: boolean): Promise<void> {
    const answer = await call(admin ? "/api/admin/customer/" : "/api/customer/");
    const { results } = await read<{ results: Customer[] }>(answer);
    element("customers").replaceChildren(...results.map(({ name, email, owes_cents }) => {
        const item = document.createElement("li");
        const debt = owes_cents === undefined ? "" : `, owes ${(owes_cents / 100).toFixed(2)}`;
        // Never innerHTML: customers choose their names.
        item.textContent = `${name} <${email}>${debt}`;
        return item;
    }));
}

function offerGoogle(): void {
    const client_id = document.body.dataset["googleClientId"] ?? "";
    if (client_id === "" || google === undefined) return;
    // Google puts it into the credential, and tokenbooth compares: a credential made for another page is refused.
    const nonce = crypto.randomUUID();
    const callback = ({ credential }: { credential: string }) => run(() => signIn(credential, nonce));
    google.accounts.id.initialize({ client_id, nonce, callback });
    google.accounts.id.renderButton(element("google"), { type: "standard" });
}

/** What goes wrong is said on the page. */
function run(action: () => Promise<void>): void {
    element("problem").textContent = "";
    action().catch((error: unknown) => { element("problem").textContent = String(error); });
}

element("other-ways").setAttribute("href", signInPage);
element("sign-out").addEventListener("click", () => run(signOut));
element("reload").addEventListener("click", () => run(async () => showCustomers((await read<User>(await call("/api/me"))).admin)));
run(show);
