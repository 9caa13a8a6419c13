// The couriers' page opens without signal: its shell and assets are kept, all of one version. What is said to the server and what it says is never
// kept here. Before this text the server puts the version and the list of what is kept.
const cacheName = "courier-" + version, patience = 2500;

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(cacheName);
    await Promise.all(keep.map(async (path) => {
      const res = await fetch(path, { cache: path === "/courier" ? "reload" : "default", redirect: "error" });
      if (!res.ok) throw new Error(path + " isn't there");
      await cache.put(path, res);
    }));
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("courier-") && name !== cacheName) await caches.delete(name);
    await self.clients.claim();
  })());
});

const kept = async (path) => (await caches.open(cacheName)).match(path);

// shell is the page of the server when it answers soon, or the one that is kept.
const shell = async (request) => {
  try {
    const res = await fetch(request, { signal: AbortSignal.timeout(patience) });
    if (res.ok) return res;
  } catch { /* no signal, or too little */ }
  return (await kept("/courier")) || Response.error();
};

self.addEventListener("fetch", (event) => {
  const { request } = event, url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate") {
    if (url.pathname === "/courier") event.respondWith(shell(request));
  } else if (url.pathname !== "/courier" && keep.includes(url.pathname)) {
    event.respondWith((async () => (await kept(url.pathname)) || fetch(request))());
  }
});
