// A neighbour's link is handed on by the phone's own way of sharing, or copied.
"use strict";

for (const button of document.querySelectorAll("[data-share]")) {
  button.hidden = !navigator.share;
  button.addEventListener("click", () => navigator.share({ text: button.dataset.words, url: button.dataset.share }).catch(() => {})); // they may think better of it
}
for (const button of document.querySelectorAll("[data-link]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.link);
    button.textContent = button.dataset.done;
  });
}
