// What the couriers' page keeps: the round, the time, and what was done and isn't sent yet. All of it is in IndexedDB, and each change is one
// transaction, so that it is kept whole or not at all.
"use strict";

const store = (() => {
  const stores = ["kept", "queue", "answers", "notices"];
  let opened;
  const open = () => (opened ||= new Promise((done, failed) => {
    const request = indexedDB.open("courier", 1);
    request.onupgradeneeded = () => {
      const db = request.result;
      db.createObjectStore("kept"); // round, clock; who is the round's courier, and acts counts what the server has said
      db.createObjectStore("queue", { keyPath: "n", autoIncrement: true }); // entries, in order
      db.createObjectStore("answers"); // by an entry's key, until it is shown
      db.createObjectStore("notices", { keyPath: "key" }); // what became of entries that nobody waited for
    };
    request.onsuccess = () => {
      request.result.onversionchange = () => {
        request.result.close();
        opened = undefined;
      };
      request.result.onclose = () => { opened = undefined; }; // by the browser: what comes next opens it anew
      done(request.result);
    };
    request.onerror = request.onblocked = () => {
      opened = undefined;
      failed(request.error || new Error("blocked"));
    };
  }));
  // run gives work the object stores in one transaction; what it returns comes back once that is on the disk.
  const run = async (mode, work) => {
    const begin = async () => (await open()).transaction(stores, mode, { durability: "strict" });
    const t = await begin().catch((e) => {
      if (e.name !== "InvalidStateError") throw e;
      opened = undefined; // it was closed behind our back
      return begin();
    });
    return new Promise((done, failed) => {
      let result;
      t.oncomplete = () => done(result);
      t.onabort = () => failed(t.error || new Error("not kept"));
      Promise.resolve(work(Object.fromEntries(stores.map((name) => [name, t.objectStore(name)])))).then((r) => { result = r; }, (e) => {
        try { t.abort(); } catch { /* it is over already */ }
        failed(e);
      });
    });
  };
  const got = (request) => new Promise((done, failed) => {
    request.onsuccess = () => done(request.result);
    request.onerror = (event) => { event.preventDefault(); event.stopPropagation(); failed(request.error); };
  });
  const read = (work) => run("readonly", work), write = (work) => run("readwrite", work);
  return { read, write, got };
})();

// The server's time, as well as this phone can tell. While the page lives, a clock counts that nobody can set; after that the difference of the
// phone's own clock, if it makes sense.
const clock = (() => {
  const most = 24 * 3600 * 1000, slack = 2000;
  let anchor; // { server, local, steady: performance.now() or undefined after a reload }
  const set = (now) => {
    const server = Date.parse(now);
    if (!Number.isFinite(server)) return undefined;
    anchor = { server, local: Date.now(), steady: performance.now() };
    return { server, local: anchor.local };
  };
  const load = (kept) => { if (kept && !anchor) anchor = { ...kept }; };
  const now = () => {
    if (!anchor) return { at: Date.now(), steady: false, lost: false };
    const byClock = Date.now() - anchor.local, sane = byClock >= 0 && byClock < most, lost = byClock >= most; // longer than a shift, or a clock that was set
    if (anchor.steady === undefined) return { at: anchor.server + (sane ? byClock : 0), steady: false, lost };
    const passed = performance.now() - anchor.steady;
    if (Math.abs(byClock - passed) <= slack) return { at: anchor.server + passed, steady: true, lost: false };
    // Phones stop the steady clock while they sleep; or somebody has set the other one.
    return { at: anchor.server + (sane ? Math.max(byClock, passed) : passed), steady: false, lost };
  };
  return { set, load, now };
})();

// problemOf is the code of the server's own no; "": something between it and this phone has answered, and that is no more than no signal.
const problemOf = async (res) => {
  if (!(res.headers.get("Content-Type") || "").startsWith("application/problem+json")) return "";
  return (await res.json().catch(() => ({}))).code || "";
};

// sender carries the queue to the server: in order, one batch at a time, from one tab at a time. What one courier did is never sent as another's: it waits
// until this phone is theirs again.
const sender = (() => {
  const batch = 50, patience = 8000, pause = 30000, asleep = 12000;
  const plain = new Map(); // what was typed, for the first try only: what is kept is sealed
  const heard = new Map(); // answers of this page's entries, also when they can't be kept
  const awaited = new Set(); // keys of entries whose answer somebody waits for on this page
  const unheard = new Set(); // of entries that were sent and of which no answer came
  const spent = new Set(); // of entries that are answered and couldn't be taken off the queue
  let running, timer, listener = () => {};
  const changed = (what) => listener(what);
  const post = async (courier, entries) => {
    const body = JSON.stringify({ courier, entries: entries.map(({ n, verified, courier: theirs, ...entry }) => entry) });
    const res = await fetch("/courier/act", { method: "POST", headers: { "Content-Type": "application/json" }, body, signal: AbortSignal.timeout(patience) });
    if (!res.ok) return { status: res.status, code: await problemOf(res), retry: Number(res.headers.get("Retry-After")) || 0 };
    const { now, results } = await res.json();
    if (!Array.isArray(results)) throw new Error("not the server's answer");
    return { status: 200, now, results };
  };
  const single = (work) => {
    if (navigator.locks) {
      return navigator.locks.request("courier-send", { signal: AbortSignal.timeout(asleep) }, work).catch((e) => {
        if (e.name !== "TimeoutError") throw e;
        return navigator.locks.request("courier-send", { steal: true }, work); // its tab sleeps; what is sent twice is one thing for the server
      });
    }
    return (running = (running || Promise.resolve()).then(work, work));
  };

  // settle takes over what the server has said of entries: one transaction, so that nothing is both sent and shown as waiting.
  const settle = (entries, results, now) => store.write(async (s) => {
    const kept = clock.set(now);
    if (kept) s.kept.put(kept, "clock");
    const round = await store.got(s.kept.get("round"));
    for (const entry of entries) {
      const result = results.find((r) => r.key === entry.key), parcel = round?.parcels.find((p) => p.id === entry.handover), was = parcel?.state;
      s.queue.delete(entry.n);
      if (parcel && result.parcel) Object.assign(parcel, withoutGone(parcel, result.parcel));
      if (!entry.offline && !awaited.has(entry.key)) s.answers.put(result, entry.key); // another tab may wait for it
      const told = (entry.do === "ticket" && entry.verified) || entry.do === "weak" || was === "handed_over"; // the courier has seen it as handed over
      const quiet = result.result === "done" || entry.do === "sign_in_code" || (result.result === "handed_over" && told);
      if (!quiet && !awaited.has(entry.key)) s.notices.put({ key: entry.key, handover: entry.handover, initials: parcel?.initials || "", do: entry.do, result: result.result });
    }
    if (round) s.kept.put(round, "round");
    s.kept.put(((await store.got(s.kept.get("acts"))) || 0) + 1, "acts");
  });
  // A parcel of the server's replaces the one before, also where something is no longer there.
  const withoutGone = (old, fresh) => ({ arrived_at: undefined, means: undefined, certainty: undefined, ...fresh });

  // once sends one batch; true: there may be more.
  const once = async () => {
    const [all, who, acts] = await store.read((s) => Promise.all([store.got(s.queue.getAll()), store.got(s.kept.get("who")), store.got(s.kept.get("acts"))]));
    const waiting = all.filter((entry) => entry.courier === who && !spent.has(entry.key)).slice(0, batch);
    if (!waiting.length) return false;
    const outgoing = waiting.map((entry) => {
      if (!plain.has(entry.key)) return entry;
      const { sealed, ...rest } = entry;
      return { ...rest, code: plain.get(entry.key) };
    });
    const say = async (entries) => {
      try {
        return await post(who, entries);
      } catch (e) {
        for (const entry of entries) unheard.add(entry.key);
        throw e;
      }
    };
    let reply = await say(outgoing);
    let taken = waiting;
    if (isNo(reply) && waiting.length > 1) { // one that the server can't take must not hold up the others
      taken = waiting.slice(0, 1);
      reply = await say(outgoing.slice(0, 1));
    }
    if (isRefused(reply)) reply = { status: 200, now: null, results: [{ key: taken[0].key, handover: taken[0].handover, result: "not_allowed" }] };
    if (reply.status !== 200) throw Object.assign(new Error("not sent"), reply, { acts });
    for (const result of reply.results) heard.set(result.key, result);
    taken = taken.filter((entry) => heard.has(entry.key));
    for (const entry of taken) spent.add(entry.key); // what was answered isn't asked again, whatever can be written down of it
    try {
      await settle(taken, reply.results, reply.now);
    } catch {
      await store.write((s) => { for (const entry of taken) s.queue.delete(entry.n); }).catch(() => {});
    }
    for (const entry of taken) {
      plain.delete(entry.key);
      unheard.delete(entry.key);
    }
    return true;
  };
  // isNo tells whether asking the same again has no sense, and isRefused whether that is the server's own word.
  const isNo = ({ status, code }) => status >= 400 && status < 500 && ![401, 403, 404, 408, 421, 425, 429].includes(status) && code !== "another_courier";
  const isRefused = (reply) => isNo(reply) && !!reply.code;

  // pump sends what there is. It throws when there is no signal, or with the status of a server that doesn't take it now.
  const pump = () => single(async () => {
    clearTimeout(timer);
    try {
      while (await once()) changed("settled");
    } catch (e) {
      await late().catch(() => {});
      if (isOver(e) && e.acts === (await store.read((s) => store.got(s.kept.get("acts"))).catch(() => e.acts))) changed("over"); // and no other shift has begun meanwhile
      else timer = setTimeout(() => pump().catch(() => {}), Math.max(pause, 1000 * (e.retry || 0)));
      throw e;
    }
  });
  // isOver tells whether the server itself has said that the shift is over.
  const isOver = ({ status, code }) => status === 401 && !!code;
  // late marks what waits as done without signal: from now on it is settled rather than answered.
  const late = () => store.write(async (s) => {
    for (const key of plain.keys()) if (!awaited.has(key)) plain.delete(key);
    for (const entry of await store.got(s.queue.getAll())) if (!entry.offline && !awaited.has(entry.key)) s.queue.put({ ...entry, offline: true });
  });
  // answer is what became of an entry that somebody waits for; undefined: nothing yet.
  const answer = async (key) => {
    let result = heard.get(key);
    try {
      await store.write(async (s) => {
        result ||= await store.got(s.answers.get(key));
        s.answers.delete(key);
        s.notices.delete(key);
      });
    } catch { /* then it is shown once more as a notice */ }
    heard.delete(key);
    return result;
  };
  // start takes over what another visit has left.
  const start = () => single(async () => {
    await store.write((s) => s.answers.clear());
    await late();
  });
  return { start, pump, post, answer, late, plain, awaited, unheard, isOver, isRefused, listen: (f) => { listener = f; } };
})();
