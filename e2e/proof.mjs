// SPDX-License-Identifier: Apache-2.0

// What others do with our signatures and boxes, with nothing of ours: jose checks a proof, WebCrypto checks a ticket and seals a box (RFC 9180 from its
// text). It reads what to do from standard input and prints what came of it.

import { compactVerify, createLocalJWKSet } from "jose";
import { readFileSync } from "node:fs";

const subtle = globalThis.crypto.subtle;
const ascii = (text) => new TextEncoder().encode(text);
const join = (...parts) => new Uint8Array(parts.flatMap((p) => [...p]));
const base64url = (bytes) => Buffer.from(bytes).toString("base64url");
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64url"));
const word = (n) => new Uint8Array([n >> 8, n & 255]);

const work = {
  async proof({ proof, keys, typ }) {
    const { payload, protectedHeader } = await compactVerify(proof, createLocalJWKSet(keys), { algorithms: ["ES256"] });
    if (protectedHeader.typ !== typ) throw new Error("typ is " + protectedHeader.typ);
    return { payload: JSON.parse(new TextDecoder().decode(payload)), kid: protectedHeader.kid };
  },

  async ticket({ ticket, keys }) {
    const raw = bytes(ticket.slice("CST1.".length));
    const payload = raw.slice(0, 39);
    for (const { kty, crv, x, y, kid } of keys.keys) {
      if (base64url(bytes(kid).slice(0, 3)) !== base64url(payload.slice(36))) continue;
      const key = await subtle.importKey("jwk", { kty, crv, x, y }, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
      const signed = join(ascii("countersign ticket v1\0"), payload);
      return { good: await subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, raw.slice(39), signed) };
    }
    return { good: false };
  },

  async seal({ id, to, aad, plain }) {
    const own = await subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
    const enc = new Uint8Array(await subtle.exportKey("raw", own.publicKey));
    const theirs = bytes(to);
    const shared = new Uint8Array(
      await subtle.deriveBits({ name: "ECDH", public: await subtle.importKey("raw", theirs, { name: "ECDH", namedCurve: "P-256" }, false, []) }, own.privateKey, 256),
    );
    const hmac = async (key, message) => {
      const k = await subtle.importKey("raw", key.length ? key : new Uint8Array(32), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
      return new Uint8Array(await subtle.sign("HMAC", k, message));
    };
    const extract = (suite, salt, label, ikm) => hmac(salt, join(ascii("HPKE-v1"), suite, ascii(label), ikm));
    const expand = async (suite, prk, label, info, length) =>
      (await hmac(prk, join(word(length), ascii("HPKE-v1"), suite, ascii(label), info, [1]))).slice(0, length); // one block is enough for all
    const kem = join(ascii("KEM"), word(0x10));
    const hpke = join(ascii("HPKE"), word(0x10), word(1), word(1));
    const secret = await expand(kem, await extract(kem, [], "eae_prk", shared), "shared_secret", join(enc, theirs), 32);
    const context = join([0], await extract(hpke, [], "psk_id_hash", []), await extract(hpke, [], "info_hash", ascii("countersign courier box v1")));
    const prk = await extract(hpke, secret, "secret", []);
    const key = await subtle.importKey("raw", await expand(hpke, prk, "key", context, 16), "AES-GCM", false, ["encrypt"]);
    const nonce = await expand(hpke, prk, "base_nonce", context, 12);
    const sealed = new Uint8Array(await subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: ascii(aad) }, key, ascii(plain)));
    return { box: base64url(join([id], enc, sealed)) };
  },
};

const task = JSON.parse(readFileSync(0, "utf8"));
try {
  console.log(JSON.stringify(await work[task.do](task)));
} catch (error) {
  console.log(JSON.stringify({ error: String(error) }));
}
