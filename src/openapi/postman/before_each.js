// Beside `tokenbooth demo`, gives the request that is about to be sent what it needs: the demo's mock stands for Google and
// GitHub, and hands out their tokens to whoever asks. With any other service nothing is done here; fill in the environment.
const base = pm.environment.get("base_url");
const toBeSent = JSON.stringify(pm.request);
const needs = (name) => toBeSent.includes(`{{${name}}}`);

// The answer's JSON and its status, or null when there is none.
const ask = (method, url, { body, token, accept } = {}) => new Promise((answered) => {
    const header = { Accept: accept || "*/*" };
    if (token) header.Authorization = `Bearer ${token}`;
    if (body) header["Content-Type"] = "application/json";
    const raw = body && { mode: "raw", raw: JSON.stringify(body) };
    pm.sendRequest({ method, url, header, body: raw }, (error, response) => {
        if (error) return answered(null);
        let json = null;
        try { json = response.json(); } catch (noJson) { /* then it is none */ }
        answered({ status: response.code, json: json || {} });
    });
});
const fromQuery = (url, name) => decodeURIComponent((url.match(new RegExp(`[?&]${name}=([^&]*)`)) || [])[1] || "");
const set = (name, value) => { pm.environment.set(name, value); return value; };

// A sign-in with Google begun at the service leads to the mock, which says where it is when it is asked for JSON.
const begin = async (query, token) => {
    const begun = await ask("GET", `${base}/auth/google/login?${query}`, { accept: "application/json", token });
    return begun && begun.json.page;
};
const onThisMachine = /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:|\/|$)/.test(base);
const findMock = async () => {
    if (!onThisMachine) return pm.environment.get("mock_url");
    const page = await begin("");
    return page && set("mock_url", page.match(/^http:\/\/[^/]+/)[0]);
};
const choose = async (page) => (await ask("GET", `${page}&mock_person=alice`, { accept: "application/json" })).json.location;

const main = async () => {
    if (!onThisMachine && !pm.environment.get("mock_url")) return;
    const inherited = !pm.request.auth || needs("access_token");
    const good = async (name) => {
        const token = pm.environment.get(name);
        const me = token && await ask("GET", `${base}/api/me`, { token });
        return me && me.status === 200;
    };
    let mock;
    const fromMock = async (path, body) => (await ask("POST", `${mock}/mock/${path}`, { body })).json;
    const signIn = async (person) => {
        const token = await fromMock("google/id_token", person);
        return (await ask("POST", `${base}/auth/google`, { body: { ...token, scope: "offline_access" } })).json;
    };
    const signInAlice = async () => {
        const tokens = await signIn();
        set("refresh_token", tokens.refresh_token);
        return set("access_token", tokens.access_token);
    };
    const linkGithub = async (token, account = { id: 4711, login: "alice-elsewhere" }) => {
        const body = await fromMock("github/access_token", account);
        return { body, identity: (await ask("POST", `${base}/api/me/identities/github`, { body, token })).json };
    };

    const ada = { sub: "118297636060252690398", email: "ada@example.com", name: "Ada Example" };
    const bob = { sub: "100000000000000000001", email: "bob@example.com", name: "Bob Example" };
    const ways = {
        id_token: async () => set("id_token", (await fromMock("google/id_token")).id_token),
        github_token: async () =>
            set("github_token", (await fromMock("github/access_token", { id: 4711, login: "alice-elsewhere" })).access_token),
        admin_token: async () => await good("admin_token") || set("admin_token", (await signIn(ada)).access_token),
        user_id: async () => set("user_id", (await signIn(bob)).user.id),
        refresh_token: async () => pm.environment.get("refresh_token") && await good("access_token") || await signInAlice(),
        email: async () => {
            const { access_token: token, user } = await signIn();
            const password = pm.environment.get("password");
            const body = { new_password: password, current_password: password };
            await ask("PUT", `${base}/api/me/password`, { body, token });
            set("email", user.email);
        },
        identity_id: async () => set("identity_id", (await linkGithub(await good("access_token")
            ? pm.environment.get("access_token") : await signInAlice())).identity.id),
        other_identity_id: async () => {
            const { access_token: token } = await signIn(bob);
            const { identity } = await linkGithub(token, { id: 4712, login: "bob-elsewhere" });
            set("other_identity_id", identity.id);
        },
        session_id: async () => {
            const { access_token: token } = await signIn();
            const sessions = (await ask("GET", `${base}/api/me/sessions`, { token })).json.items;
            set("session_id", sessions.find((session) => session.current).id);
        },
        code: async () => {
            const back = await choose(await begin("redirect_to=/account"));
            set("state", fromQuery(back, "state"));
            set("code", fromQuery(back, "code"));
        },
        app_code: async () => {
            const base64url = (words) => CryptoJS.enc.Base64.stringify(words)
                .replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
            const verifier = set("code_verifier", base64url(CryptoJS.lib.WordArray.random(32)));
            const query = `redirect_to=${mock}/callback&code_challenge=${base64url(CryptoJS.SHA256(verifier))}`;
            // An app's own request, not that of a browser: with the session cookie of an earlier request a page would ask first.
            const back = await choose(await begin(`${query}&code_challenge_method=S256`, "none"));
            set("app_code", (await ask("GET", back)).json.code);
        },
    };
    const wanted = Object.keys(ways).filter(needs);
    if (inherited && !await good("access_token")) wanted.unshift("access_token");
    ways.access_token = signInAlice;
    if (wanted.length === 0) return;
    mock = await findMock();
    if (!mock) return;
    for (const name of wanted) await ways[name]();
};

// A script ends when nothing is under way, and does not see a promise.
const underWay = setInterval(() => {}, 1000);
main()
    .catch((error) => console.warn(`nothing was prepared: ${error.message}`))
    .then(() => clearInterval(underWay));
