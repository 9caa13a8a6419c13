// The inbox is live, and a code is copied by a press.
"use strict";

{
  const inbox = document.getElementById("inbox");
  const ready = () => inbox?.querySelectorAll(".copy").forEach((b) => { b.hidden = false; });
  ready();
  inbox?.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.code);
    button.firstChild.textContent = "Copied ";
  });
  if (inbox) {
    const source = new EventSource("/inbox/events");
    source.onmessage = async (event) => {
      if (event.data === inbox.dataset.version) return;
      const answer = await fetch("/inbox/list");
      if (!answer.ok) return;
      inbox.innerHTML = await answer.text();
      inbox.dataset.version = event.data;
      ready();
    };
  }
}
