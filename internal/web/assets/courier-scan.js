// The camera as a reader of QR codes: the browser's own detector where there is one, or the decoder that the page has along.
"use strict";

const scanner = (() => {
  const every = 150, least = 0.5; // milliseconds between two looks; and how much of a picture's side is looked at closely
  let stream, timer, turn = 0;
  const stop = () => {
    turn++;
    clearTimeout(timer);
    for (const track of stream?.getTracks() || []) track.stop();
    stream = undefined;
  };
  const native = async () => {
    try {
      if ((await BarcodeDetector.getSupportedFormats()).includes("qr_code")) {
        const detector = new BarcodeDetector({ formats: ["qr_code"] });
        return async (video) => (await detector.detect(video))[0]?.rawValue;
      }
    } catch { /* the browser has none */ }
    return null;
  };
  const ours = async (url) => {
    const { decodeQR } = await import(url);
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d", { willReadFrequently: true });
    let close = false;
    return async (video) => { // the whole picture and its middle in turn: the middle is looked at more closely
      const part = (close = !close) ? least : 1, w = video.videoWidth * part, h = video.videoHeight * part;
      const scale = Math.min(1, 800 / Math.max(w, h));
      canvas.width = Math.round(w * scale);
      canvas.height = Math.round(h * scale);
      context.drawImage(video, (video.videoWidth - w) / 2, (video.videoHeight - h) / 2, w, h, 0, 0, canvas.width, canvas.height);
      try {
        return decodeQR(context.getImageData(0, 0, canvas.width, canvas.height));
      } catch {
        return undefined; // nothing in this picture
      }
    };
  };
  // start shows the camera and calls found with what it reads, until stop. It throws when there is no camera for us.
  const start = async (video, reader, found) => {
    stop();
    const mine = turn, opened = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } } });
    if (mine !== turn) { // closed before the camera was there
      for (const track of opened.getTracks()) track.stop();
      return;
    }
    const own = (stream = opened);
    video.srcObject = stream;
    await video.play();
    const look = (await native()) || (await ours(reader));
    const step = async () => {
      if (stream !== own) return;
      const text = video.readyState >= 2 ? await look(video).catch(() => undefined) : undefined;
      if (stream !== own) return;
      if (text) found(text);
      timer = setTimeout(step, every);
    };
    if (stream === own) step();
  };
  // light switches the camera's lamp; false: it has none.
  const light = async (on) => {
    const track = stream?.getVideoTracks()[0];
    if (!track?.getCapabilities?.().torch) return false;
    await track.applyConstraints({ advanced: [{ torch: on }] });
    return true;
  };
  return { start, stop, light };
})();
