// A page whose state changes looks by itself while it is seen. When it can't, it says so: an old answer must not pass for a new one.
"use strict";

{
  const box = document.getElementById("live"), stale = document.getElementById("unsure");
  const silence = 25000, pause = 5000, long = 60000, most = 5; // milliseconds; and how often it begins anew at once, before it takes its time
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
  // place finds again what has the focus in the part that changes: a link by where it leads, a button by its form. Where it is gone, the heading has it,
  // which says what has changed.
  const place = () => {
    const on = document.activeElement, form = on?.closest("form");
    if (!on || !box.contains(on)) return "";
    if (on.matches("a")) return "a[href=" + CSS.escape(on.getAttribute("href")) + "]";
    return form ? "form[action=" + CSS.escape(form.getAttribute("action")) + "] button" : "h1";
  };
  const heading = () => {
    const h1 = box.querySelector("h1");
    h1.tabIndex = -1;
    return h1;
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
      const at = place();
      box.replaceChildren(...new DOMParser().parseFromString(event.data, "text/html").body.childNodes);
      if (at) (box.querySelector(at) || heading()).focus();
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
      soon(start, ++failed < most ? pause : long);
    });
  };
  const look = () => (document.hidden ? stop() : start());
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pagehide", stop);
  look();
}
