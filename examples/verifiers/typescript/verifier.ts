// Verifies tokenbooth's tokens in a service of its own: no secret is shared, nobody is asked for each request, and who was
// revoked is out within seconds. Wants keys with a public half (`tokenbooth keys rotate --alg EdDSA`).
// `service.ts` beside it shows how it is used.

import { createRemoteJWKSet, type JWTPayload, jwtVerify } from "jose";

export function verifier(base: string, audience = "tokenbooth") {
    // A key is published two seconds before it signs: whoever asks again after less misses none.
    const keys = createRemoteJWKSet(new URL(`${base}/.well-known/jwks.json`), { cooldownDuration: 1500 });
    const common = { issuer: base, algorithms: ["EdDSA", "ES256"], clockTolerance: 60 };
    const users = new Map<string, number>();
    const clients = new Set<string>();
    let since = 0;

    // Learns every two seconds who was revoked. While that fails, what is known counts, and tokens end by themselves.
    async function follow(): Promise<void> {
        try {
            const answer = await fetch(`${base}/oauth/revocations?since=${since}`, { signal: AbortSignal.timeout(5000) });
            const requiredClaims = ["iat", "exp", "users", "clients"];
            const options = { ...common, typ: "revocations+jwt", requiredClaims };
            const { payload } = await jwtVerify(await answer.text(), keys, options);
            for (const [id, ver] of Object.entries(payload["users"] as Record<string, number>)) users.set(id, ver);
            for (const id of payload["clients"] as string[]) clients.add(id);
            since = payload.iat ?? 0;
        } catch (error) {
            console.warn("nobody says who was revoked:", error);
        }
        setTimeout(follow, 2000).unref();
    }
    void follow();

    /** What a token says. Rejects for one that is not good, or not any more. */
    return async function claims(token: string): Promise<JWTPayload> {
        const requiredClaims = ["sub", "iat", "exp"];
        const { payload } = await jwtVerify(token, keys, { ...common, audience, typ: "at+jwt", requiredClaims });
        const sub = payload.sub ?? "";
        const ended = sub.startsWith("client:")
            ? clients.has(sub.slice("client:".length))
            : Number(payload["ver"]) < (users.get(sub) ?? 0);
        if (ended) throw new Error("the token was revoked");
        return payload;
    };
}
