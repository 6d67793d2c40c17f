// Verifies tokenbooth's tokens in a service of its own: no secret is shared, nobody is asked for each request, and who was
// revoked is rejected within seconds. Needs keys with a public half (`tokenbooth keys rotate --alg EdDSA`).
// `service.ts` beside it shows how it is used.
//
// A verification waits for the network only if the token names a key that is not known yet. Revocations are read in the
// background every two seconds. If they cannot be read for `maxStaleness` seconds, `claims` rejects with
// `RevocationsUnknown`: a verifier that does not know who was revoked accepts nobody.

import { createRemoteJWKSet, customFetch, type JWTPayload, jwtVerify } from "jose";

/** Seconds by which the clocks of two machines may differ. */
const LEEWAY = 60;
const POLL_MILLISECONDS = 2000;

/** The revocations have not been read for too long. The token may be valid: answer 503, not 401. */
export class RevocationsUnknown extends Error {}

export interface Options {
    audience?: string;
    /** Seconds without a new statement after which no token is accepted. */
    maxStaleness?: number;
    /** At least `token.access_ttl`, in seconds: an entry is forgotten once all its tokens have expired. */
    tokenLifetime?: number;
    /** For tests. */
    fetch?: (url: string, init?: RequestInit) => Promise<Response>;
    /** A clock that never goes back, in seconds; for tests. */
    now?: () => number;
}

interface Entry {
    /** The number that a user's `ver` must reach. */
    ver: number;
    toldAt: number;
}

/** Begins to read the revocations, unless told otherwise by `follow`. */
export function verifier(base: string, options: Options = {}, follow = true) {
    const { audience = "tokenbooth", maxStaleness = 60, tokenLifetime = 1800 } = options;
    const now = options.now ?? (() => performance.now() / 1000);
    const get = options.fetch ?? fetch;
    // A key is published two seconds before it signs: whoever asks again after less misses none.
    const keys = createRemoteJWKSet(new URL(`${base}/.well-known/jwks.json`), {
        cooldownDuration: 1500,
        [customFetch]: (url, init) => get(url, init as RequestInit),
    });
    const common = { issuer: base, algorithms: ["EdDSA", "ES256"], clockTolerance: LEEWAY };
    const revoked = new Map<string, Entry>();
    let since = 0;
    let freshAt = Number.NEGATIVE_INFINITY;

    /** Reads one statement. Only one that is newer than the last counts: an old one may be replayed. */
    async function readRevocations(): Promise<void> {
        const askedAt = now();
        const response = await get(`${base}/oauth/revocations?since=${since}`, { signal: AbortSignal.timeout(5000) });
        const requiredClaims = ["iat", "exp", "users", "clients"];
        const { payload } = await jwtVerify(await response.text(), keys, { ...common, typ: "revocations+jwt", requiredClaims });
        const iat = payload.iat ?? 0;
        if (iat <= since) return;
        const users = Object.entries(payload["users"] as Record<string, number>);
        const clients = payload["clients"] as string[];
        const sessions = (payload["sessions"] ?? []) as string[];
        for (const [key, { toldAt }] of revoked) if (toldAt <= askedAt - tokenLifetime - 2 * LEEWAY) revoked.delete(key);
        const note = (key: string, ver: number) => {
            revoked.set(key, { ver: Math.max(ver, revoked.get(key)?.ver ?? 0), toldAt: askedAt });
        };
        for (const [id, ver] of users) note(`user ${id}`, ver);
        for (const id of clients) note(`client ${id}`, 0);
        for (const id of sessions) note(`session ${id}`, 0);
        since = iat;
        freshAt = askedAt;
    }

    async function keepReading(): Promise<void> {
        try {
            await readRevocations();
        } catch (error) {
            console.warn("nobody says who was revoked:", error);
        }
        setTimeout(keepReading, POLL_MILLISECONDS).unref();
    }
    if (follow) void keepReading();

    function isRevoked(payload: JWTPayload): boolean {
        const sub = payload.sub ?? "";
        if (sub.startsWith("client:")) return revoked.has(`client ${sub.slice("client:".length)}`);
        const least = revoked.get(`user ${sub}`)?.ver ?? 0;
        return !(Number(payload["ver"]) >= least) || revoked.has(`session ${String(payload["sid"])}`);
    }

    /** Returns what a valid token says. Rejects for any other. */
    async function claims(token: string): Promise<JWTPayload> {
        const requiredClaims = ["sub", "iat", "exp"];
        const { payload } = await jwtVerify(token, keys, { ...common, audience, typ: "at+jwt", requiredClaims });
        if (now() - freshAt > maxStaleness) throw new RevocationsUnknown("nobody says who was revoked");
        if (isRevoked(payload)) throw new Error("the token was revoked");
        return payload;
    }

    return { claims, readRevocations, known: () => revoked.size };
}
