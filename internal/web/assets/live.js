// A page whose state changes looks by itself while it is seen. When it can't, it says so: an old answer must not pass for a new one.
"use strict";

{
  const box = document.getElementById("live"), stale = document.getElementById("unsure");
  const silence = 25000, pause = 5000, most = 5; // milliseconds; and how often it begins anew by itself
  let source, timer, failed = 0, over = false;
  const lost = () => {
    stale.textContent = stale.dataset.words;
    stale.hidden = false;
  };
  const soon = (what, ms) => {
    clearTimeout(timer);
    timer = setTimeout(what, ms);
  };
  const alive = () => {
    stale.hidden = true;
    failed = 0;
    soon(lost, silence);
  };
  const stop = () => {
    clearTimeout(timer);
    source?.close();
  };
  const start = () => {
    stop();
    if (over) return;
    source = new EventSource(box.dataset.live);
    source.addEventListener("beat", alive);
    source.addEventListener("message", (event) => {
      alive();
      if (event.lastEventId === box.dataset.state) return;
      box.dataset.state = event.lastEventId;
      box.replaceChildren(...new DOMParser().parseFromString(event.data, "text/html").body.childNodes);
      document.title = box.querySelector("h1").textContent + " - " + box.dataset.name;
      if (box.querySelector("[data-end]")) { // nothing changes any more, and what was shown beside it doesn't count
        over = true;
        stop();
        document.getElementById("shown")?.remove();
      }
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return soon(lost, pause); // the browser asks again: a stream ends after some minutes
      lost();
      if (++failed < most) soon(start, pause);
    });
  };
  const look = () => (document.hidden ? stop() : start());
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pagehide", stop);
  look();
}
