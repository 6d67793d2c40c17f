// A service with one protected route: `npm ci && npm run build && node service.js BASE PORT`, where BASE is tokenbooth's address.

import { createServer } from "node:http";
import { RevocationsUnknown, verifier } from "./verifier.js";

const [base, port] = process.argv.slice(2);
if (!base || !port) throw new Error("usage: node verifier.js BASE PORT");
const { claims } = verifier(base);
createServer(async (request, response) => {
    try {
        const [scheme = "", token = ""] = (request.headers.authorization ?? "").split(" ");
        const { sub } = await claims(scheme.toLowerCase() === "bearer" ? token : "");
        response.setHeader("Content-Type", "application/json").end(JSON.stringify({ sub }));
    } catch (error) {
        if (error instanceof RevocationsUnknown) {
            // Not the token's fault: a client must not throw it away.
            response.writeHead(503, { "Retry-After": "5" }).end();
            return;
        }
        console.info("rejected:", error instanceof Error ? error.message : error);
        response.writeHead(401, { "WWW-Authenticate": 'Bearer error="invalid_token"' }).end();
    }
}).listen(Number(port), "127.0.0.1");
