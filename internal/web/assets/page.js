// Every page works without this. With it: the wait counts down, codes fill themselves in, passkeys, a code typed without a network is kept.
"use strict";

document.getElementById("summary")?.focus();
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.split("; ").includes("zone=" + zone)) {
  document.cookie = "zone=" + zone + "; path=/; max-age=31536000; samesite=lax" + (location.protocol === "https:" ? "; secure" : "");
}

const wait = document.getElementById("wait");
if (wait && !wait.hidden) {
  const due = performance.now() + 1000 * wait.dataset.wait; // the server's seconds: this device's clock may be off
  const button = wait.parentElement.querySelector("button");
  const forms = JSON.parse(wait.dataset.forms), plural = new Intl.PluralRules(document.documentElement.lang);
  let said = 0;
  const step = () => {
    const left = Math.ceil((due - performance.now()) / 1000);
    wait.hidden = left <= 0;
    button.hidden = left > 0;
    if (left <= 0) return clearInterval(timer);
    // Read out seldom: when it begins and every half minute.
    wait.setAttribute("aria-live", Date.now() - said > 30000 ? "polite" : "off");
    if (Date.now() - said > 30000) said = Date.now();
    wait.textContent = (forms[plural.select(left)] || forms.other).replace("{n}", left);
  };
  const timer = setInterval(step, 1000);
  step();
}

// A code that arrives by text on this phone (WebOTP).
const codeForm = document.querySelector(".code-form");
const code = document.getElementById("code");
if (codeForm && document.getElementById("sent") && "OTPCredential" in window) {
  const stop = new AbortController();
  codeForm.addEventListener("submit", () => stop.abort());
  navigator.credentials.get({ otp: { transport: ["sms"] }, signal: stop.signal }).then((got) => {
    if (got?.code) { code.value = got.code; codeForm.requestSubmit(); }
  }).catch(() => {});
}

// Without a network the form is kept, also while the page is loaded anew, and sent once when the network is back; its key makes a
// repeat the same answer. What is kept belongs to one code: another page, or a later one, forgets it.
if (codeForm) {
  const kept = "kept", about = codeForm.dataset.about;
  const send = () => {
    const was = JSON.parse(sessionStorage.getItem(kept));
    sessionStorage.removeItem(kept);
    if (was?.about !== about || Date.now() - was.at > 1000 * codeForm.dataset.keep) return;
    for (const [name, value] of was.fields) {
      const field = codeForm.elements[name];
      if (field.type === "checkbox") field.checked = true;
      else field.value = value;
    }
    const late = document.createElement("input");
    late.type = "hidden"; late.name = "offline"; late.value = "1";
    codeForm.append(late);
    codeForm.submit();
  };
  codeForm.addEventListener("submit", (event) => {
    if (navigator.onLine) return;
    event.preventDefault();
    sessionStorage.setItem(kept, JSON.stringify({ about, at: Date.now(), fields: [...new FormData(codeForm)] }));
    let said = document.getElementById("offline");
    if (!said) {
      said = document.createElement("p");
      said.id = "offline";
      said.className = "error";
      said.setAttribute("role", "status");
      codeForm.prepend(said);
    }
    said.textContent = codeForm.dataset.offline;
  });
  window.addEventListener("online", send);
  if (navigator.onLine) send();
}

// Passkeys.
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
const options = (json, making) => {
  const o = JSON.parse(json).publicKey;
  if (making && PublicKeyCredential.parseCreationOptionsFromJSON) return PublicKeyCredential.parseCreationOptionsFromJSON(o);
  if (!making && PublicKeyCredential.parseRequestOptionsFromJSON) return PublicKeyCredential.parseRequestOptionsFromJSON(o);
  o.challenge = bytes(o.challenge);
  if (o.user) o.user.id = bytes(o.user.id);
  for (const c of [...(o.excludeCredentials || []), ...(o.allowCredentials || [])]) c.id = bytes(c.id);
  return o;
};
const encoded = (c) => {
  if (c.toJSON) return JSON.stringify(c.toJSON());
  const r = c.response, out = { clientDataJSON: text(r.clientDataJSON) };
  if (r.attestationObject) { out.attestationObject = text(r.attestationObject); out.transports = r.getTransports?.() || []; }
  else { out.authenticatorData = text(r.authenticatorData); out.signature = text(r.signature); if (r.userHandle) out.userHandle = text(r.userHandle); }
  return JSON.stringify({ id: c.id, rawId: text(c.rawId), type: c.type, response: out, clientExtensionResults: c.getClientExtensionResults() });
};
if (window.PublicKeyCredential) {
  document.querySelectorAll(".needs-passkey").forEach((e) => { e.hidden = false; });
  document.querySelectorAll("form.passkey").forEach(async (form) => {
    form.hidden = false;
    document.querySelectorAll(".needs-script").forEach((e) => { e.hidden = true; });
    const making = "create" in form.dataset, json = form.dataset.create || form.dataset.get, failed = form.querySelector("[data-failed]");
    let pending;
    const ask = async (conditional) => {
      pending?.abort();
      pending = new AbortController();
      try {
        const request = { publicKey: options(json, making), signal: pending.signal };
        if (conditional) request.mediation = "conditional";
        const made = making ? await navigator.credentials.create(request) : await navigator.credentials.get(request);
        if (!made) return;
        form.elements.passkey.value = encoded(made);
        form.submit();
      } catch (e) {
        if (!conditional && e.name !== "AbortError") failed.textContent = failed.dataset.failed;
      }
    };
    form.querySelector("button").addEventListener("click", () => ask(false));
    if ("conditional" in form.dataset && await PublicKeyCredential.isConditionalMediationAvailable?.()) ask(true);
  });
}

// How strong a new password is.
const strength = document.getElementById("strength"), password = document.getElementById("password");
if (strength && password) {
  let timer;
  password.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (!password.value) return void (strength.textContent = "");
      const got = await fetch(strength.dataset.strength, { method: "POST", body: new URLSearchParams({ password: password.value }) }).catch(() => null);
      if (got?.ok) strength.textContent = (await got.json()).text;
    }, 400);
  });
}

// A message that is pasted leaves its digits here: nobody needs a code. Numbers to call, with their country, stay.
for (const field of document.querySelectorAll("textarea.blank")) {
  field.form.addEventListener("submit", () => {
    field.value = field.value.replace(/(\+|\b00)?\p{Nd}(?:[ .\-]?\p{Nd}){3,}/gu, (run, country) => country ? run : run.replace(/\p{Nd}/gu, "\u2022"));
  });
}

// Recovery codes.
document.querySelectorAll(".needs-js").forEach((e) => { e.hidden = false; });
const listed = (id) => [...document.getElementById(id).querySelectorAll("li")].map((li) => li.textContent).join("\n") + "\n";
document.querySelector("[data-copy]")?.addEventListener("click", async (event) => {
  await navigator.clipboard.writeText(listed(event.target.dataset.copy));
  event.target.textContent = event.target.dataset.done;
});
document.querySelector("[data-save]")?.addEventListener("click", (event) => {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([listed(event.target.dataset.save)], { type: "text/plain" }));
  a.download = event.target.dataset.name;
  a.click();
});
document.querySelector("[data-print]")?.addEventListener("click", () => window.print());
