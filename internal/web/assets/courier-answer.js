// The answer fills the screen: a word, a shape and a sound, each of which says it alone.
"use strict";

const answers = (() => {
  const dialog = document.getElementById("answer");
  const drawn = { // in a square of 24, as lines
    yes: ["M12 2a10 10 0 1 0 0 20a10 10 0 1 0 0-20", "M7 12.5l3.5 3.5l6.5-7.5"],
    offline: ["M12 2a10 10 0 0 1 10 10M22 12a10 10 0 0 1-3 7.1M12 22a10 10 0 0 1-7-2.9M2 12a10 10 0 0 1 3-7.1", "M7 12.5l3.5 3.5l6.5-7.5"],
    later: ["M6 2h12M6 22h12", "M7 2c0 5 3 8 5 10c2-2 5-5 5-10M7 22c0-5 3-8 5-10c2 2 5 5 5 10"],
    no: ["M3 3h18v18h-18z", "M8 8l8 8M16 8l-8 8"],
    stop: ["M8 2h8l6 6v8l-6 6h-8l-6-6v-8z", "M12 6.5v7M12 17v.5"],
    wait: ["M12 3l10 18h-20z", "M12 9v6M12 18v.3"],
    done: ["M4 12.5l5.5 5.5l11-12"],
  };
  const shape = (name) => {
    const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("class", "shape");
    for (const d of drawn[name]) {
      const path = document.createElementNS(ns, "path");
      path.setAttribute("d", d);
      svg.append(path);
    }
    return svg;
  };
  // Tones as [frequency in Hz, begin, end in seconds]: up for yes, level for later, down for no.
  const tones = {
    yes: [[660, 0, 0.12], [990, 0.13, 0.32]], offline: [[660, 0, 0.12], [990, 0.13, 0.25], [660, 0.26, 0.4]], later: [[520, 0, 0.12], [520, 0.2, 0.32]],
    no: [[300, 0, 0.2], [190, 0.22, 0.55]], stop: [[300, 0, 0.2], [190, 0.22, 0.55], [190, 0.65, 0.9]], wait: [[420, 0, 0.14], [330, 0.16, 0.36]], done: [[660, 0, 0.1]],
  };
  const shakes = { yes: [80], offline: [80, 60, 80], later: [40, 60, 40], no: [300], stop: [300, 100, 300], wait: [150], done: [40] };
  let audio;
  // wake is called by a press: browsers let nothing sound before one.
  const wake = () => {
    try {
      audio ||= new AudioContext();
      audio.resume().catch(() => {});
    } catch { /* a phone without sound has the word and the shape */ }
  };
  const sound = (name) => {
    navigator.vibrate?.(shakes[name]);
    if (audio?.state !== "running") return;
    for (const [frequency, from, to] of tones[name]) {
      const tone = audio.createOscillator(), volume = audio.createGain(), at = audio.currentTime + 0.02;
      tone.frequency.value = frequency;
      tone.type = frequency < 400 ? "square" : "sine";
      volume.gain.setValueAtTime(0, at + from);
      volume.gain.linearRampToValueAtTime(0.5, at + from + 0.01);
      volume.gain.setValueAtTime(0.5, at + to - 0.02);
      volume.gain.linearRampToValueAtTime(0, at + to);
      tone.connect(volume).connect(audio.destination);
      tone.start(at + from);
      tone.stop(at + to);
    }
  };
  // show says an answer, and comes back when it was read.
  const show = (kind, word, texts, button) => new Promise((read) => {
    const h1 = document.createElement("h1"), go = document.createElement("button"), box = document.createElement("div");
    h1.id = "answer-word";
    h1.tabIndex = -1;
    h1.textContent = word;
    go.className = "primary";
    go.textContent = button;
    go.addEventListener("click", () => dialog.close());
    box.append(shape(kind), h1, ...texts.map((text) => Object.assign(document.createElement("p"), { textContent: text })), go);
    dialog.replaceChildren(box);
    dialog.dataset.kind = kind;
    dialog.addEventListener("close", () => read(), { once: true });
    if (!dialog.open) dialog.showModal();
    h1.focus();
    sound(kind);
  });
  return { show, wake, shape };
})();
