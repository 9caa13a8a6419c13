// What a courier's phone can say without signal: whether a ticket is the server's, and what was typed sealed so that only the server can read it.
"use strict";

const bytesOf = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const textOf = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const utf8 = (text) => new TextEncoder().encode(text);
const hex = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
const joined = (...parts) => {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) { all.set(p, at); at += p.length; }
  return all;
};
const randomKey = () => hex(crypto.getRandomValues(new Uint8Array(16)));

// Tickets: "CST1." and base64url of payload and signature. The payload is version (1 byte), hand-over (16), attempt (1), generation (1), pass (1),
// device (8), until (8, seconds), and the first bytes of the key's id (3).
const ticketLength = 39 + 64, ticketContext = joined(utf8("countersign ticket v1"), new Uint8Array(1));

// readTicket takes a ticket apart; null: it is none.
const readTicket = (text) => {
  if (!/^CST1\.[\w-]{138}$/.test(text)) return null;
  let all;
  try {
    all = bytesOf(text.slice(5));
  } catch {
    return null;
  }
  if (all.length !== ticketLength || all[0] !== 1 || textOf(all) !== text.slice(5)) return null;
  return {
    handover: "hnd_" + hex(all.slice(1, 17)), attempt: all[17], generation: all[18], pass: all[19], device: hex(all.slice(20, 28)),
    until: Number(new DataView(all.buffer).getBigUint64(28)) * 1000, kid: hex(all.slice(36, 39)), signed: joined(ticketContext, all.slice(0, 39)), signature: all.slice(39),
  };
};

// ticketSigned tells whether a ticket is the server's: "yes", "no", or "unknown" where its key is none of those that this phone has. It may be
// newer than the shift.
const ticketSigned = async (ticket, keys) => {
  let known = "unknown";
  for (const { kty, crv, x, y, kid } of keys) {
    let start = "";
    try {
      start = hex(bytesOf(kid).slice(0, 3));
    } catch { /* another form of id: not the key of a ticket */ }
    if (start !== ticket.kid) continue;
    known = "no";
    try {
      const key = await crypto.subtle.importKey("jwk", { kty, crv, x, y }, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
      if (await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, ticket.signature, ticket.signed)) return "yes";
    } catch { /* a key that isn't one proves nothing */ }
  }
  return known;
};

// HPKE (RFC 9180) in base mode, single shot: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
const hpke = (() => {
  const two = (n) => Uint8Array.of(n >> 8, n & 255); // I2OSP(n, 2)
  const version = utf8("HPKE-v1"), none = new Uint8Array(0);
  const kem = joined(utf8("KEM"), two(0x0010)), suite = joined(utf8("HPKE"), two(0x0010), two(0x0001), two(0x0001)); // 4.1, 5.1
  const hmac = async (secret, data) => {
    const key = await crypto.subtle.importKey("raw", secret.length ? secret : new Uint8Array(32), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return new Uint8Array(await crypto.subtle.sign("HMAC", key, data));
  };
  // 4: LabeledExtract and LabeledExpand, over HKDF (RFC 5869). Nothing here is longer than one block of SHA-256.
  const extract = (id, salt, label, ikm) => hmac(salt, joined(version, id, utf8(label), ikm));
  const expand = async (id, secret, label, info, length) =>
    (await hmac(secret, joined(two(length), version, id, utf8(label), info, Uint8Array.of(1)))).slice(0, length);
  // 4.1: Encap. It returns the shared secret and what the receiver finds it with.
  const encap = async (point) => {
    const curve = { name: "ECDH", namedCurve: "P-256" };
    const receiver = await crypto.subtle.importKey("raw", point, curve, false, []);
    const own = await crypto.subtle.generateKey(curve, false, ["deriveBits"]);
    const enc = new Uint8Array(await crypto.subtle.exportKey("raw", own.publicKey));
    const dh = new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: receiver }, own.privateKey, 256));
    const shared = await expand(kem, await extract(kem, none, "eae_prk", dh), "shared_secret", joined(enc, point), 32);
    return { shared, enc };
  };
  // 5.1: KeySchedule in base mode (0), and 6.1: Seal.
  const seal = async (point, info, aad, text) => {
    const { shared, enc } = await encap(point);
    const context = joined(Uint8Array.of(0), await extract(suite, none, "psk_id_hash", none), await extract(suite, none, "info_hash", info));
    const secret = await extract(suite, shared, "secret", none);
    const key = await crypto.subtle.importKey("raw", await expand(suite, secret, "key", context, 16), "AES-GCM", false, ["encrypt"]);
    const iv = await expand(suite, secret, "base_nonce", context, 12); // of the only message: its sequence number is 0
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: aad }, key, text));
    return { enc, sealed };
  };
  return { seal };
})();

// sealTyped seals what was typed for one entry: moved to another, it can't be opened.
const sealTyped = async (box, entry, typed) => {
  const about = entry.key + "." + entry.handover + "." + entry.attempt;
  const { enc, sealed } = await hpke.seal(bytesOf(box.public), utf8("countersign courier box v1"), utf8(about), utf8(typed));
  return textOf(joined(Uint8Array.of(box.key), enc, sealed));
};

// typedCode reads a delivery code as it is typed or pasted: { code }, or { wrong: "sign_in_code" | "unclear" }.
const typedCode = (text, letter, digits, signIn) => {
  const nd = /^\p{Nd}$/u;
  const value = (c) => { // the digits of each script stand in a row of ten
    let n = 0;
    while (n < 9 && nd.test(String.fromCodePoint(c - n - 1))) n++;
    return n;
  };
  const plain = [...text.normalize("NFKC").toUpperCase()].map((c) => (nd.test(c) ? value(c.codePointAt(0)) : c)).join("");
  const inside = new RegExp("(?:^|[^\\p{L}\\p{Nd}])" + letter + "[\\s.\\p{Pd}]*(\\d(?:[\\s.\\p{Pd}]*\\d){" + (digits - 1) + "})(?!\\d)", "u").exec(plain);
  if (inside) return { code: letter + "-" + inside[1].replace(/\D/g, "") };
  const only = plain.replace(/[\s.\p{Pd}]/gu, "");
  if (/^\d+$/.test(only)) {
    if (only.length === digits) return { code: letter + "-" + only };
    if (only.length === signIn) return { wrong: "sign_in_code" };
  }
  const runs = plain.match(/(?<!\d)\d(?:[ -]?\d)*(?!\d)/g) || [];
  if (/\p{L}/u.test(plain) && !only.startsWith(letter) && runs.some((run) => run.replace(/\D/g, "").length === signIn)) return { wrong: "sign_in_code" };
  return { wrong: "unclear" };
};
