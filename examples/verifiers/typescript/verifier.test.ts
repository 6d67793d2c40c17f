// `node --test verifier.test.js`: without a service, and without waiting in real time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { RevocationsUnknown, verifier } from "./verifier.js";

const BASE = "https://auth.example";

/** Keys, tokens and the feed of a tokenbooth, and the clock of the verifier that asks it. */
async function booth() {
    const { publicKey, privateKey } = await generateKeyPair("EdDSA");
    const jwk = { ...(await exportJWK(publicKey)), kid: "one", alg: "EdDSA" };
    const state = {
        now: 0,
        iat: Math.floor(Date.now() / 1000),
        away: false,
        replayed: "",
        feed: { users: {} as Record<string, number>, clients: [] as string[], sessions: [] as string[] | undefined },
    };
    const sign = (typ: string, claims: Record<string, unknown>) =>
        new SignJWT({ iss: BASE, iat: state.iat, exp: state.iat + 120, ...claims })
            .setProtectedHeader({ alg: "EdDSA", kid: "one", typ })
            .sign(privateKey);
    const token = (claims: Record<string, unknown> = {}) => sign("at+jwt", { sub: "ada", aud: "tokenbooth", ver: 0, ...claims });
    const statement = () => sign("revocations+jwt", state.feed);
    const fetch = async (url: string) => {
        if (state.away) throw new Error("away");
        if (!url.includes("/oauth/revocations")) return Response.json({ keys: [jwk] });
        return new Response(state.replayed || (await statement()));
    };
    const verify = verifier(BASE, { fetch, now: () => state.now }, false);
    const told = async (feed: Partial<typeof state.feed> = {}) => {
        state.feed = { ...state.feed, ...feed };
        await verify.readRevocations();
        state.iat += 1;
    };
    return { state, token, statement, verify, told, fetch };
}

test("a revoked user, client or session is rejected", async () => {
    const { token, verify, told } = await booth();
    await told();
    const [first, second, service] = await Promise.all([token({ sid: "s1" }), token({ sid: "s2" }), token({ sub: "client:jobs", ver: undefined })]);
    for (const good of [first, second, service]) await verify.claims(good);
    await told({ sessions: ["s1"] });
    await assert.rejects(verify.claims(first), /revoked/);
    await verify.claims(second);
    await told({ clients: ["jobs"] });
    await assert.rejects(verify.claims(service), /revoked/);
    await told({ users: { ada: 1 } });
    await assert.rejects(verify.claims(second), /revoked/);
    await verify.claims(await token({ ver: 1 }));
    // A statement repeats only what is new, and nothing is forgotten before its time.
    await told({ users: {}, clients: [], sessions: undefined });
    for (const ended of [first, second, service]) await assert.rejects(verify.claims(ended), /revoked/);
});

test("nobody is accepted while it is unknown who was revoked", async () => {
    const { state, token, verify, told, fetch } = await booth();
    const valid = await token();
    await assert.rejects(verifier(BASE, { fetch, now: () => state.now }, false).claims(valid), RevocationsUnknown);
    await told();
    state.away = true;
    state.now += 59;
    await assert.rejects(verify.readRevocations(), /away/);
    await verify.claims(valid);
    state.now += 2;
    await assert.rejects(verify.claims(valid), RevocationsUnknown);
    state.away = false;
    await told();
    await verify.claims(valid);
});

test("a statement that is replayed keeps nothing fresh", async () => {
    const { state, token, statement, verify, told } = await booth();
    await told();
    state.replayed = await statement();
    for (let round = 0; round < 40; round++) {
        await verify.readRevocations();
        state.now += 2;
    }
    await assert.rejects(verify.claims(await token()), RevocationsUnknown);
});

test("what cannot end a token any more is forgotten", async () => {
    const { state, verify, told } = await booth();
    const many = Array.from({ length: 1000 }, (_, number) => `id-${number}`);
    await told({ users: Object.fromEntries(many.map((id) => [id, 1])), sessions: many });
    assert.equal(verify.known(), 2000);
    state.now += 1800;
    await told({ users: { late: 1 }, sessions: [] });
    assert.equal(verify.known(), 2001);
    state.now += 200;
    await told({ users: {} });
    assert.equal(verify.known(), 1);
});

test("a lower number does not bring tokens back, and a statement is no token", async () => {
    const { token, statement, verify, told } = await booth();
    await told({ users: { ada: 3 } });
    await told({ users: { ada: 2 } });
    await assert.rejects(verify.claims(await token({ ver: 2 })), /revoked/);
    await assert.rejects(verify.claims(await token({ ver: undefined })), /revoked/);
    await assert.rejects(verify.claims(await statement()));
});
