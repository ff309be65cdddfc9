// Verifies one request of a webhook: verify.ts SECRET ID TIMESTAMP SIGNATURES < BODY, the three headers `webhook-*` and the body's bytes as they
// came. Exit 0 when it is genuine and at most five minutes old.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";

const TOLERANCE_S = 300;

function keyOf(secret: string): Buffer {
    return secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : Buffer.from(secret);
}

function isGenuine(secret: string, id: string, timestamp: string, signatures: string, body: Buffer): boolean {
    if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) return false;
    const hmac = createHmac("sha256", keyOf(secret)).update(`${id}.${timestamp}.`).update(body);
    const expected = Buffer.from(`v1,${hmac.digest("base64")}`);
    return signatures.split(" ").map((text) => Buffer.from(text))
        .some((signature) => signature.length === expected.length && timingSafeEqual(signature, expected));
}

const [secret, id, timestamp, signatures] = process.argv.slice(2);
process.exit(isGenuine(secret, id, timestamp, signatures, readFileSync(0)) ? 0 : 1);
