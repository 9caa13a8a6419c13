// The couriers' page: today's parcels, and the hand-over of each. What is shown is made of the round and of what waits to be sent.
"use strict";

const words = JSON.parse(document.getElementById("words").dataset.words);
const language = document.documentElement.lang, plural = new Intl.PluralRules(language);
const main = document.getElementById("main"), statusLine = document.getElementById("status"), scanBox = document.getElementById("scan");
const fill = (text, values) => Object.entries(values).reduce((all, [name, value]) => all.replaceAll("{" + name + "}", value), text);
const t = (key, values = {}) => fill(words[key] ?? key, values);
const count = (key, n, values = {}) => fill(words[key + "." + plural.select(n)] ?? words[key + ".other"], { n, ...values });

const app = { round: null, hidden: false, queue: [], others: 0, notices: [], ended: false, busy: false, token: "", problem: "", acts: 0, unsure: new Map(), started: undefined, view: { name: "list" } };
const finished = ["handed_over", "attempted", "refused", "returned", "expired", "canceled"];
const mostTyped = 6;

// h makes an element. Text that people wrote is always text.
const h = (tag, about = {}, ...children) => {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== false && value !== undefined) e.setAttribute(name, value);
  }
  e.append(...children.flat(2).filter((c) => c !== null && c !== undefined && c !== false));
  return e;
};
const said = (text) => h("bdi", { dir: "auto" }, text);

// What the server knows of a parcel, and what this phone has done and not yet sent.
const seen = (p) => {
  const waiting = app.queue.filter((e) => e.handover === p.id && e.attempt >= p.attempt); // a QR code may be of a newer one
  const has = (...kinds) => waiting.findLast((e) => kinds.includes(e.do));
  const typed = waiting.filter((e) => e.do === "code").length;
  const ticket = waiting.find((e) => e.do === "ticket" && e.verified), unsure = has("ticket");
  const over = finished.includes(p.state);
  let outcome = "";
  if (over) outcome = p.certainty === "weaker" ? "weaker" : p.certainty === "confirmed_offline" ? "confirmed_offline" : p.state;
  else if (ticket) outcome = "confirmed_offline";
  else if (has("weak")) outcome = "weak";
  else if (has("give_up")) outcome = "attempted";
  else if (has("refuse")) outcome = "refused";
  else if (typed || unsure) outcome = "will_be_checked";
  return { arrived: !!p.arrived_at || p.state === "arrived" || !!has("arrive"), tries: Math.min(mostTyped, p.tries_left) - typed, outcome, over, used: over || !!ticket, waiting: waiting.length };
};

const time = (p) => {
  try {
    return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", timeZone: p.zone }).formatRange(new Date(p.from), new Date(p.until));
  } catch { // a zone that this phone doesn't know
    return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", timeZone: "UTC", timeZoneName: "short" }).formatRange(new Date(p.from), new Date(p.until));
  }
};

// --- What is kept, and what the server says.

// past tells whether a round's shift is over, as far as this phone can tell the time.
const past = (round) => {
  const now = clock.now();
  return !!round && (now.lost || now.at > Date.parse(round.until));
};

const load = async () => {
  try {
    await store.read(async (s) => {
      const [round, kept, ended, link, who, queue, notices] = await Promise.all([store.got(s.kept.get("round")), store.got(s.kept.get("clock")), store.got(s.kept.get("ended")), store.got(s.kept.get("link")), store.got(s.kept.get("who")), store.got(s.queue.getAll()), store.got(s.notices.getAll())]);
      clock.load(kept);
      app.round = (app.loose && app.round) || round || null;
      app.ended ||= !!ended;
      app.link = link;
      app.queue = queue.filter((e) => e.courier === who);
      app.others = queue.length - app.queue.length; // of who had this phone before
      app.notices = notices;
    });
  } catch {
    app.loose = true; // nothing can be kept on this phone; what there is lives as long as the page
  }
  app.hidden = past(app.round); // it may be this phone's clock that is wrong: the server says, when there is signal
  if (app.hidden) Object.assign(app, { round: null, ended: true });
};
// acts tells what the server has said until now, on this page and on others: a list that was asked for before is older.
const acts = async () => ({ here: app.acts, kept: (await store.read((s) => store.got(s.kept.get("acts"))).catch(() => 0)) || 0 });
const unchanged = async (asked) => {
  const now = await acts();
  return now.here === asked.here && now.kept === asked.kept;
};
// take takes over a round that was asked for at a time (acts); false: it is an old one.
const take = async (round, asked) => {
  let now, old = false;
  const keep = (whole) => store.write(async (s) => { // it is compared and kept in one
    const [kept, who, notices] = await Promise.all([store.got(s.kept.get("acts")), store.got(s.kept.get("who")), store.got(s.notices.getAll())]);
    if ((old = asked !== undefined && (asked.kept !== (kept || 0) || asked.here !== app.acts))) return;
    s.kept.put((kept || 0) + 1, "acts");
    if (whole) s.kept.put(round, "round");
    else s.kept.delete("round");
    s.kept.put(round.courier_id, "who");
    if (who !== round.courier_id) for (const { initials, ...notice } of notices) s.notices.put(notice); // whose parcels those were is nothing for the next courier
    s.kept.delete("ended");
    s.kept.delete("link");
    s.kept.put((now ||= clock.set(round.now)), "clock");
  });
  const kept = await keep(true).then(() => true, () => keep(false).then(() => false, () => false)); // a round may be too large for the room that there is
  if (old || (asked !== undefined && asked.here !== app.acts)) return false;
  if (!now) clock.set(round.now);
  app.acts++;
  app.ended = false;
  app.round = round;
  if (kept) {
    app.loose = false;
    navigator.storage?.persist?.().catch(() => {}); // or a phone that is short of room may throw it away
  } else app.loose = true;
  await load();
  return true;
};
// over forgets the round. What isn't sent yet and what nobody has read yet is no parcel's address: it stays.
const over = async () => {
  Object.assign(app, { round: null, ended: true, loose: false, view: { name: "list" } });
  app.acts++;
  if (scanBox.open) scanBox.close();
  try {
    await store.write(async (s) => {
      const [who, acts, link, notices] = await Promise.all([store.got(s.kept.get("who")), store.got(s.kept.get("acts")), store.got(s.kept.get("link")), store.got(s.notices.getAll())]);
      s.kept.clear();
      s.kept.put(true, "ended");
      s.kept.put(who, "who");
      s.kept.put((acts || 0) + 1, "acts");
      if (link) s.kept.put(link, "link"); // the next shift's, whose answer hasn't come yet
      s.answers.clear();
      for (const { initials, ...notice } of notices) s.notices.put(notice);
    });
  } catch { // no room for anything: then nothing is kept
    await store.write((s) => {
      for (const name of ["kept", "answers", "notices"]) s[name].clear();
    }).catch(() => {});
  }
  await load();
  app.round = null;
  render(true);
};
const ask = async (path, body) => {
  const about = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  return fetch(path, { ...about, cache: "no-store", signal: AbortSignal.timeout(8000) });
};
// roundOf reads a round; what isn't one is no answer of the server's.
const roundOf = async (res) => {
  const round = await res.json();
  if (!Array.isArray(round?.parcels) || !round.courier_id) throw new Error("not a round");
  return round;
};
const refresh = async () => {
  if (!navigator.onLine) return;
  try {
    for (let again = 0; again < 2; again++) {
      const asked = await acts(), res = await ask("/courier/round");
      const refused = sender.isOver({ status: res.status, code: res.ok ? "" : await problemOf(res) });
      if ((app.round || app.hidden) && refused) {
        if (await unchanged(asked)) return over();
        continue; // another shift has begun meanwhile
      }
      if (!res.ok || (await take(await roundOf(res), asked))) break;
    }
  } catch { /* no signal */ }
  render();
};
const sync = async () => {
  if (navigator.onLine) await sender.pump().catch(() => {});
  await load();
  await refresh();
  render();
};
// linked is the depot's link with what this phone makes up for it, so that it alone can use it again when the answer is lost. Both outlive the page until
// the link has worked.
const linked = async (token) => {
  if (app.link?.token !== token) app.link = { token, nonce: randomKey() };
  const link = app.link;
  await store.write((s) => { s.kept.put(link, "link"); }).catch(() => {}); // then it lives as long as the page
  return link;
};
const enrol = async () => {
  app.problem = "";
  await sender.pump().catch(() => {}); // an earlier shift's
  try {
    const res = await ask("/courier/enrol", await linked(app.token)), code = res.ok ? "" : await problemOf(res);
    if (res.ok) {
      const round = await roundOf(res);
      app.token = "";
      app.link = undefined;
      await take(round);
      sender.pump().catch(() => {});
    } else if (code && res.status < 500 && res.status !== 429) {
      app.token = "";
      app.link = undefined;
      await store.write((s) => { s.kept.delete("link"); }).catch(() => {});
      app.problem = "enrol.refused";
    } else app.problem = "enrol.later";
  } catch {
    app.problem = "enrol.no_signal";
  }
  render(true);
};

// --- What a courier does.

// current is a parcel as it is now: what was shown may be older.
const current = (p) => app.round?.parcels.find((one) => one.id === p.id) || p;

const entryOf = (p, what) => {
  const now = clock.now();
  return { key: randomKey(), handover: p.id, attempt: p.attempt, at: new Date(now.at).toISOString(), steady: now.steady, offline: !navigator.onLine, courier: app.round.courier_id, ...what };
};
const where = () => new Promise((done) => {
  if (!navigator.geolocation) return done(undefined);
  const late = setTimeout(() => done(undefined), 6000);
  const coarse = (f) => Math.round(f * 100) / 100; // about a kilometre
  navigator.geolocation.getCurrentPosition(({ coords }) => {
    clearTimeout(late);
    done({ lat: coarse(coords.latitude), lon: coarse(coords.longitude), accuracy: Math.round(Math.max(1000, coords.accuracy)) });
  }, () => {
    clearTimeout(late);
    done(undefined);
  }, { timeout: 5000, maximumAge: 60000 });
});

// gate is what this phone knows to stand before a hand-over, as the server would say it; "": nothing. With signal the server is asked: it may know better.
const gate = (p) => {
  const state = seen(p);
  if (state.used) return "over";
  if (p.stopped) return "stopped";
  if (!state.arrived) return "not_arrived";
  return p.blocked || state.tries <= 0 ? "blocked" : "";
};
// judged is what this phone can say of a ticket: the server's words for it, "confirmed_offline", or "ticket_later" for what only the server can know.
const judged = async (p, text) => {
  const ticket = readTicket(text), signed = ticket ? await ticketSigned(ticket, app.round.keys) : "no", now = clock.now();
  if (signed === "no") return "bad_ticket";
  if (ticket.handover !== p.id) return "other_parcel";
  if (ticket.attempt < p.attempt || (!ticket.pass && ticket.generation < p.generation)) return "old_ticket"; // a pass counts its own
  if (ticket.attempt === p.attempt && ticket.device !== app.round.device) return "other_device";
  if (ticket.until < now.at && now.steady) return "expired";
  const newer = ticket.attempt > p.attempt || (!ticket.pass && ticket.generation > p.generation);
  return gate(p) || (signed === "yes" && !newer && !now.lost && ticket.until >= now.at ? "confirmed_offline" : "ticket_later");
};
const drop = async (key) => {
  try {
    await store.write(async (s) => {
      const entry = (await store.got(s.queue.getAll())).find((e) => e.key === key);
      if (entry) s.queue.delete(entry.n);
    });
  } catch { /* it is sent, then, and the server answers it by itself */ }
};

// act keeps an entry, sends it, and says what became of it. Nothing counts as kept before it is on the disk.
const act = async (p, what) => {
  await app.started; // or what another tab has left would be mistaken for this page's
  const who = await store.read((s) => store.got(s.kept.get("who"))).catch(() => undefined);
  if (!app.round) return { result: "shift_over" };
  if (who !== undefined && who !== app.round.courier_id) { // in another tab this phone has become somebody else's
    app.view = { name: "list" };
    return { result: "not_yours" };
  }
  p = current(p);
  const same = JSON.stringify([p.id, p.attempt, what]), again = app.unsure.get(same), entry = again || entryOf(p, what), typed = what.code;
  const local = entry.do === "ticket" ? await judged(p, entry.ticket) : ["code", "weak"].includes(entry.do) ? gate(p) : "";
  delete entry.code;
  if (typed) entry.sealed = await sealTyped(app.round.box, entry, typed);
  if (entry.do === "ticket") entry.verified = local === "confirmed_offline";
  if (local === "ticket_later") entry.attempt = Math.max(p.attempt, readTicket(entry.ticket).attempt);
  const without = { // the answer when there is no signal
    code: local || "will_be_checked", weak: local || "weak_later", ticket: local, send: "no_signal", sign_in_code: "sign_in_code",
  }[entry.do] || "later";
  const keeps = entry.do !== "send" && (!local || ["confirmed_offline", "ticket_later"].includes(local));
  if (entry.offline && !keeps) return { result: without };
  sender.awaited.add(entry.key);
  try {
    const kept = !again && (await store.write((s) => { s.queue.add(entry); }).then(() => true, () => false));
    if (!kept) {
      if (entry.offline) return { result: "not_kept" };
      app.loose ||= !again;
      return await straight(same, entry, typed);
    }
    if (entry.offline) return { result: without };
    if (typed) sender.plain.set(entry.key, typed);
    const reply = await sender.pump().then(() => ({}), (e) => e);
    const result = await sender.answer(entry.key);
    app.acts++;
    if (result) return result;
    const maybe = sender.unheard.has(entry.key); // it was sent, and may count
    if (sender.isOver(reply)) {
      if (maybe && keeps) return { result: "no_answer" };
      await drop(entry.key); // what was called "nothing was confirmed" must not be told later
      return { result: "shift_over" };
    }
    if (keeps) return { result: without };
    await drop(entry.key);
    if (!maybe) return { result: without };
    if (entry.do === "send") return { result: "send_unknown" };
    app.unsure.set(same, entry); // what the phone remembers may be older than what the server knows
    return { result: "no_answer" };
  } finally {
    sender.awaited.delete(entry.key);
    sender.plain.delete(entry.key);
    await sender.late().catch(() => {});
  }
};
// straight sends what can't be kept. When its answer is lost, the page remembers it: told again it is the same entry, and gets the same answer.
const straight = async (same, { verified, sealed, ...entry }, typed) => {
  const again = app.unsure.has(same);
  try {
    const reply = await sender.post(entry.courier, [typed ? { ...entry, code: typed } : entry]), result = reply.results?.[0];
    app.acts++;
    if (result || sender.isOver(reply) || sender.isRefused(reply)) app.unsure.delete(same);
    if (sender.isOver(reply) && again) {
      await over();
      return { result: "no_answer" };
    }
    if (sender.isOver(reply)) return { result: "shift_over" };
    if (sender.isRefused(reply)) return { result: "not_allowed" };
    if (result) return result;
  } catch { /* no answer */ }
  app.unsure.set(same, entry);
  return { result: app.loose ? "not_known" : "no_answer" };
};

// What an answer looks and sounds like; where there is none, it is a no.
const kinds = {
  handed_over: "yes", confirmed_offline: "offline", will_be_checked: "later", weak_later: "later", ticket_later: "later", later: "later", done: "done", not_arrived: "wait", wait: "wait", sends_used_up: "wait",
  unclear: "wait", no_signal: "wait", no_answer: "wait", send_unknown: "wait", sign_in_code: "stop", stopped: "stop", blocked: "stop", exhausted: "stop", conflict: "stop", shift_over: "stop",
};
const closing = ["handed_over", "confirmed_offline", "will_be_checked", "weak_later", "ticket_later", "over", "conflict", "shift_over"];
const wordOf = (r, entry) => {
  if (r.result === "handed_over" && entry.do === "weak") return t("answer.weaker");
  if (r.result === "wrong") return r.tries_left === undefined ? t("answer.wrong") : count("answer.wrong_left", r.tries_left);
  if (r.result === "unclear") return count("answer.unclear", app.round?.digits || 5, { letter: app.round?.letter || "" });
  if (r.result === "done" || r.result === "later") return t("answer." + r.result + "_" + entry.do);
  return t(words["answer." + r.result] ? "answer." + r.result : "answer.unknown");
};
const textsOf = (r, entry) => {
  if (entry?.do === "weak" && r.result === "handed_over") return [];
  if (r.kept === false) return [];
  if (r.result === "wait" && r.retry_after) return [count("answer.wait_for", Math.ceil(r.retry_after / 60))];
  return ["text." + r.result, "more." + r.result].filter((key) => words[key]).map((key) => t(key));
};
const answer = async (r, entry) => {
  if (r.result === "shift_over") await over();
  else await load();
  const at = app.round?.parcels.findIndex((p) => p.id === r.parcel?.id) ?? -1;
  if (at >= 0) app.round.parcels[at] = r.parcel;
  const back = closing.includes(r.result) || (["done", "later"].includes(r.result) && ["give_up", "refuse", "weak"].includes(entry.do));
  render();
  const kind = entry.do === "weak" && r.result === "handed_over" ? "done" : kinds[r.result] || "no";
  await answers.show(kind, wordOf(r, entry), textsOf(r, entry), back ? t("answer.to_list") : t("answer.back"));
  if (back) leave();
  else {
    render();
    document.getElementById(r.result === "done" || r.result === "later" ? "title" : "code")?.focus();
  }
};
// once runs what a press begins, and no second time while it runs.
const once = (work) => async (event) => {
  event?.preventDefault();
  if (app.busy) return;
  answers.wake();
  app.busy = true;
  render();
  try {
    await work();
  } catch (e) {
    console.error(e);
    await answers.show("no", t("answer.broken"), [t("text.broken")], t("answer.back"));
  } finally {
    app.busy = false;
    render();
  }
};
const doing = (p, make) => once(async () => {
  const what = await make();
  if (what) await answer(await act(p, what), what);
});
const typing = (p) => once(async () => {
  const field = document.getElementById("code"), { code, wrong } = typedCode(field.value, app.round.letter, app.round.digits, app.round.sign_in_digits);
  const what = { do: "code" };
  if (wrong === "sign_in_code") {
    field.value = "";
    const told = await act(p, { do: wrong }); // which warns its owner; the code itself is nobody's business
    return answer({ result: wrong, kept: told.result !== "not_kept" }, what);
  }
  if (wrong) return answer({ result: "unclear" }, what);
  if (!seen(current(p)).arrived) return answer({ result: "not_arrived" }, what);
  field.value = "";
  return answer(await act(p, { ...what, code }), what);
});
const scanning = (p) => once(async () => {
  const what = { do: "ticket" };
  if (!seen(current(p)).arrived) return answer({ result: "not_arrived" }, what);
  const text = await scan();
  if (text) await answer(await act(p, { ...what, ticket: text }), what);
});
// scan shows the camera until it sees a delivery's QR code; "": the courier has closed it.
const scan = () => new Promise((done) => {
  const note = h("p", { id: "scan-note", role: "status" }, t("scan.hint")), video = h("video", { playsinline: true, muted: true, "aria-label": t("scan.picture") });
  let text = "", lit = false;
  video.muted = true;
  const lamp = h("button", { type: "button", onclick: async () => {
    if (!(await scanner.light(!lit).catch(() => false))) note.textContent = t("scan.no_light");
    else lit = !lit;
  } }, t("scan.light"));
  const close = h("button", { type: "button", onclick: () => scanBox.close() }, t("scan.close"));
  scanBox.replaceChildren(h("h1", { id: "scan-title", tabindex: "-1" }, t("scan.title")), video, note, h("p", { class: "buttons" }, close, lamp));
  scanBox.addEventListener("close", () => {
    scanner.stop();
    done(text);
  }, { once: true });
  scanBox.showModal();
  scanner.start(video, document.body.dataset.reader, (found) => {
    if (!scanBox.open) return;
    if (!found.startsWith("CST1.")) return void (note.textContent = t("scan.another"));
    text = found;
    scanBox.close();
  }).catch((e) => { note.textContent = t(e.name === "NotAllowedError" ? "scan.denied" : "scan.no_camera"); });
});

// --- What is shown.

const go = (view) => {
  app.view = view;
  history.pushState(view, "");
  render(true);
};
const leave = () => {
  if (app.view.name === "list") return render();
  if (history.state?.name === app.view.name) history.back();
  else {
    app.view = { name: "list" };
    render(true);
  }
};

const tag = (state) => {
  const word = state.outcome && t("state." + state.outcome);
  return word ? h("span", { class: "tag" }, word) : state.arrived ? h("span", { class: "tag" }, t("state.arrived")) : null;
};
const item = (p, first) => {
  const state = seen(p);
  return h("li", {}, h("button", { type: "button", id: "p-" + p.id, class: first ? "parcel first" : "parcel", onclick: () => go({ name: "parcel", id: p.id }) },
    h("span", { class: "who" }, said(p.initials), " ", tag(state)),
    h("span", { class: "when" }, time(p)),
    h("span", {}, said(p.hint)),
    h("span", { class: "soft" }, said(p.items))));
};
const noticeOf = (n) => {
  const bad = n.result !== "handed_over" && n.result !== "done";
  const what = t(words["notice." + n.result] ? "notice." + n.result : bad ? "notice.unknown" : "notice.done");
  const gone = async () => {
    try {
      await store.write((s) => { s.notices.delete(n.key); });
    } catch { /* it comes back with the next visit */ }
    app.notices = app.notices.filter((other) => other.key !== n.key);
    render();
    document.getElementById("title")?.focus();
  };
  return h("div", { class: bad ? "summary" : "note" }, h("p", {}, n.initials && [h("b", {}, said(n.initials)), ": "], what), bad && h("p", {}, t("notice.ask")),
    h("p", {}, h("button", { type: "button", id: "n-" + n.key, onclick: gone }, t("notice.read"))));
};
// unsent is what stays on this phone and can't be sent from it as it is now.
const unsent = (n) => n > 0 && h("div", { class: "summary" }, h("p", {}, count("ended.unsent", n)));
const understood = () => {
  app.problem = "";
  render();
  document.getElementById("title")?.focus();
};
const list = () => {
  const all = app.round.parcels, open = all.filter((p) => !seen(p).outcome), done = all.filter((p) => seen(p).outcome);
  return [
    h("h1", { id: "title", tabindex: "-1" }, count("list.title", open.length)),
    h("p", { class: "hint" }, said(app.round.courier), " · ", said(app.round.depot)),
    app.problem && h("div", { class: "summary" }, h("p", {}, t(app.problem)),
      h("p", {}, app.token ? h("button", { type: "button", id: "again", onclick: once(enrol) }, t("enrol.again")) : h("button", { type: "button", id: "understood", onclick: understood }, t("notice.read")))),
    app.loose && h("p", { class: "summary" }, t("list.loose")),
    unsent(app.others),
    ...app.notices.map(noticeOf),
    open.length > 0 && h("h2", {}, t("list.next")),
    open.length > 0 && h("ol", { class: "parcels" }, open.map((p, i) => item(p, i === 0))),
    done.length > 0 && h("h2", {}, t("list.done")),
    done.length > 0 && h("ul", { class: "parcels" }, done.map((p) => item(p, false))),
  ];
};

// choice is a part of a parcel's screen that opens by a press.
const choice = (id, title, ...parts) => h("details", { id }, h("summary", { id: id + "-open" }, title), ...parts);
const radios = (name, values, key) => h("fieldset", { "aria-describedby": name + "-missing" }, h("legend", { class: "sr" }, t(key)), values.map((v) =>
  h("p", { class: "check" }, h("input", { type: "radio", name, id: name + "-" + v, value: v }), h("label", { for: name + "-" + v }, t(name + ".by_" + v)))));
const picked = (name) => document.querySelector("input[name=" + name + "]:checked")?.value;
const needs = (name) => {
  const value = picked(name), hint = document.getElementById(name + "-missing");
  if (hint) hint.hidden = !!value;
  if (!value) document.querySelector("input[name=" + name + "]")?.focus();
  return value;
};
const codeForm = (p, state) => h("form", { id: "typed", novalidate: true, onsubmit: typing(p) },
  h("label", { for: "code" }, count("code.label", app.round.digits, { letter: app.round.letter })),
  h("div", { class: "typed", dir: "ltr" }, h("span", { class: "letter", "aria-hidden": "true" }, app.round.letter + "-"),
    h("input", { id: "code", class: "code", name: "code", inputmode: "numeric", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", enterkeyhint: "done", "aria-describedby": "tries" })),
  h("p", { class: "hint", id: "tries" }, count("code.tries", Math.max(0, state.tries))),
  h("button", { id: "check", class: state.arrived && "primary" }, t("code.check")));
const weaker = (p) => (p.weak || app.round.weak || []).filter((w) => ["identity", "photo"].includes(w)); // what a courier can do alone
const missing = (p) => choice("missing", t("missing.title"),
  (p.channels || []).length > 0 && h("p", { class: "buttons" }, p.channels.map((channel) => h("button", { type: "button", id: "send-" + channel, onclick: doing(p, () => ({ do: "send", channel })) }, t(words["send." + channel] ? "send." + channel : "send.otherwise")))),
  weaker(p).length > 0 && h("form", { id: "weaker", novalidate: true, onsubmit: doing(p, () => {
    const weak = needs("weak"), field = document.getElementById("note"), note = field.value.trim();
    document.getElementById("note-missing").hidden = !!note;
    if (weak && !note) field.focus();
    return weak && note && { do: "weak", weak, note };
  }) },
  h("h2", {}, t("weak.title")), h("p", { class: "hint" }, t("weak.text")),
  radios("weak", weaker(p), "weak.title"), h("p", { class: "error", id: "weak-missing", role: "alert", hidden: true }, t("weak.choose")),
  h("label", { for: "note" }, t("weak.note")), h("p", { class: "error", id: "note-missing", role: "alert", hidden: true }, t("weak.say")),
  h("input", { id: "note", maxlength: "80", autocomplete: "off", dir: "auto", "aria-describedby": "note-missing" }),
  h("button", {}, t("weak.button"))),
  h("p", { class: "hint" }, t("missing.depot")));
const parcel = (p) => {
  const state = seen(p), parts = [
    h("p", {}, h("button", { type: "button", class: "link", id: "back", onclick: leave }, t("parcel.back"))),
    h("h1", { id: "title", tabindex: "-1" }, said(p.initials), " ", tag(state)),
    h("p", { class: "place" }, said(p.hint)),
    h("p", {}, said(p.items), h("br"), h("span", { class: "soft" }, time(p), p.attempt > 1 ? " · " + t("parcel.attempt", { n: p.attempt }) : "")),
  ];
  if (state.over || (state.outcome && state.outcome !== "will_be_checked")) {
    const text = words["over." + state.outcome];
    return [...parts, text && h("p", { class: "note" }, text), state.waiting > 0 && h("p", { class: "hint" }, t("parcel.unsent"))];
  }
  if (p.neighbour) parts.push(h("p", {}, t("parcel.neighbour")));
  if (p.stopped) parts.push(h("div", { class: "summary" }, h("p", {}, h("b", {}, t("answer.stopped"))), h("p", {}, t("text.stopped"))));
  if (p.blocked || state.tries <= 0) parts.push(h("div", { class: "summary" }, h("p", {}, h("b", {}, t("answer.blocked"))), h("p", {}, t("text.blocked"))));
  if (state.outcome === "will_be_checked") parts.push(h("p", { class: "note" }, t("over.will_be_checked")));
  if (!state.arrived) {
    parts.push(h("p", {}, h("button", { type: "button", id: "arrive", class: "primary big", onclick: doing(p, async () => ({ do: "arrive", position: await where() })) }, t("arrive.button"))), h("p", { class: "hint" }, t("arrive.hint")));
  }
  const scanButton = h("p", {}, h("button", { type: "button", id: "scan-button", class: state.arrived ? "big" : "", onclick: scanning(p) }, t("scan.button")));
  return [...parts, ...(state.arrived ? [h("p", { class: "note" }, t("code.ask"))] : []), scanButton, codeForm(p, state), missing(p),
    choice("give-up", t("give_up.title"), h("form", { novalidate: true, onsubmit: doing(p, () => {
      const reason = needs("reason");
      return reason && { do: "give_up", reason };
    }) }, radios("reason", ["nobody_home", "no_access", "wrong_address", "other"], "give_up.title"), h("p", { class: "error", id: "reason-missing", role: "alert", hidden: true }, t("reason.choose")), h("button", {}, t("give_up.button")))),
    choice("refuse", t("refuse.title"), h("p", {}, t("refuse.text")), h("button", { type: "button", onclick: doing(p, () => ({ do: "refuse" })) }, t("refuse.button")))];
};
const outside = () => {
  const rest = [unsent(app.queue.length + app.others), ...app.notices.map(noticeOf)];
  if (app.token) {
    return [h("h1", { id: "title", tabindex: "-1" }, t(app.problem ? "enrol.title" : "enrol.busy")), app.problem && h("p", {}, t(app.problem)),
      app.problem && h("p", {}, h("button", { type: "button", class: "primary", onclick: once(enrol) }, t("enrol.again"))), ...rest];
  }
  if (app.problem) return [h("h1", { id: "title", tabindex: "-1" }, t("enrol.title")), h("p", {}, t(app.problem)), ...rest];
  const text = app.hidden ? "enrol.no_signal" : app.ended ? "ended.text" : "outside.text";
  return [h("h1", { id: "title", tabindex: "-1" }, t(app.ended ? "ended.title" : "outside.title")), h("p", {}, t(text)), ...rest];
};
const showStatus = () => {
  const parts = [];
  if (!navigator.onLine) parts.push(t("status.offline"));
  if (app.busy) parts.push(t("status.busy"));
  if (app.queue.length) parts.push(count("status.waiting", app.queue.length));
  const text = parts.join(" · ");
  if (statusLine.textContent !== text) statusLine.textContent = text;
};

// What is under a finger isn't replaced, or its press would be lost: rendering is put off.
let pressed = false, put = false;
const lift = () => setTimeout(() => { // after the click that follows
  pressed = false;
  if (put) render();
});
document.addEventListener("pointerdown", () => { pressed = true; });
for (const end of ["pointerup", "pointercancel", "dragend"]) document.addEventListener(end, lift);
// render shows the page as it is. What is being typed, what is open and where the focus is outlive it.
let lastHTML = "";
const render = (anew = false) => {
  if ((put = pressed && !anew)) return;
  showStatus();
  const p = app.view.name === "parcel" && app.round?.parcels.find((one) => one.id === app.view.id);
  const fresh = h("div", {}, (!app.round ? outside() : p ? parcel(p) : list()).filter(Boolean));
  const shown = app.round ? (p ? "parcel " + p.id : "list") : "outside";
  for (const button of fresh.querySelectorAll("form button, #arrive, #scan-button, #missing button")) button.disabled = app.busy;
  const same = main.dataset.shown === shown && !anew, focus = document.activeElement?.id;
  if (same && fresh.innerHTML === lastHTML) return;
  lastHTML = fresh.innerHTML;
  if (same) {
    for (const old of main.querySelectorAll("input[id], details[id], .error[id]")) {
      const now = fresh.querySelector("#" + CSS.escape(old.id));
      if (!now) continue;
      if (old.type === "radio") now.checked = old.checked;
      else if (old.tagName === "INPUT") now.value = old.value;
      else if (old.tagName === "DETAILS") now.open = old.open;
      else now.hidden = old.hidden;
    }
  }
  main.replaceChildren(fresh);
  main.dataset.shown = shown;
  const to = document.getElementById(same ? focus : "title");
  if (to && !document.querySelector("dialog[open]")) to.focus({ preventScroll: same });
  if (!same) scrollTo(0, 0);
  document.title = (p ? t("title") : fresh.querySelector("h1")?.textContent.trim() || "") + " - " + document.body.dataset.name;
};

// --- The beginning.

(async () => {
  const token = location.hash.slice(1);
  app.view = history.state?.name ? history.state : { name: "list" };
  if (token) history.replaceState(null, "", "/courier"); // or the link would stay in the list of pages
  if (/^[\w-]{8,200}$/.test(token)) {
    app.token = token;
    app.view = { name: "list" };
  }
  window.addEventListener("popstate", (event) => {
    app.view = event.state?.name ? event.state : { name: "list" };
    render(true);
  });
  window.addEventListener("hashchange", () => { if (location.hash.length > 1) location.reload(); }); // another link
  sender.listen(async (what) => {
    if (what === "over") return over();
    await load();
    render();
  });
  app.started = sender.start().catch(() => {});
  await load();
  if (!app.round && !app.token && app.link) app.token = app.link.token; // it was followed before, and no answer came
  render(true);
  window.addEventListener("online", sync);
  window.addEventListener("offline", () => render());
  document.addEventListener("visibilitychange", () => { if (!document.hidden) sync(); });
  setInterval(() => {
    const now = clock.now();
    if (past(app.round) && now.steady && !navigator.onLine) over();
    else if (past(app.round) && !navigator.onLine) load().then(() => render(true));
    else if ((app.round || app.hidden) && !document.hidden && !app.busy) refresh();
  }, 180000);
  navigator.serviceWorker?.register("/courier/sw.js", { scope: "/courier" }).catch(() => {});
  await app.started;
  if (app.token) await enrol();
  else await sync();
  document.body.dataset.ready = "1";
})();
