// Shows a film while it is made: fragmented MP4 over a WebSocket into a MediaSource, and prompts back.

const film = document.getElementById("film");
const begin = document.getElementById("begin");
const pause = document.getElementById("pause");
const stop = document.getElementById("stop");
const prompt = document.getElementById("prompt");
const now = document.getElementById("now");
const note = document.getElementById("note");

const AHEAD = 4; // seconds that may lie ready before more is taken
const BEHIND = 20; // seconds that are kept for looking back

let socket, source, buffer;
let pieces = [];
let pending = 0; // pieces in the buffer that the server was not told of
let ended = false;

begin.addEventListener("click", () => {
  begin.hidden = true;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/v1/live`);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", (event) => {
    if (typeof event.data === "string") hear(JSON.parse(event.data));
    else take(event.data);
  });
  socket.addEventListener("close", over);
});

function hear(message) {
  if (message.type === "hello") {
    if (!("MediaSource" in window) || !MediaSource.isTypeSupported(message.mime)) {
      note.textContent = "This browser does not play H.264 and AAC from a stream; another one does.";
      socket.close();
      return;
    }
    document.querySelector(".stage").style.aspectRatio = `${message.width} / ${message.height}`;
    prompt.value = message.prompt;
    shown(message.paused);
    pause.disabled = stop.disabled = false;
    source = new MediaSource();
    source.addEventListener("sourceopen", () => {
      buffer = source.addSourceBuffer(message.mime);
      buffer.addEventListener("updateend", feed);
      feed();
    });
    film.src = URL.createObjectURL(source);
  } else if (message.type === "chunk") {
    const speed = message.cost > 0 ? `, ${Math.round(1000 * message.cost)} ms to make` : "";
    now.textContent = `${message.start.toFixed(1)} s${speed} · ${message.prompt}`;
  } else if (message.type === "note") {
    note.textContent = message.text;
  } else if (message.type === "state") {
    shown(message.paused);
    if (document.activeElement !== prompt) prompt.value = message.prompt;
    note.textContent = "";
  } else if (message.type === "end") {
    over();
    if (message.why) note.textContent = message.why;
  }
}

function take(data) {
  pieces.push(data);
  feed();
}

// One step at a time: the buffer takes nothing while it works. What is not taken makes the source wait.
function feed() {
  if (!buffer || buffer.updating || source.readyState !== "open") return;
  const ranges = film.buffered;
  const end = ranges.length ? ranges.end(ranges.length - 1) : 0;
  if (ranges.length && film.currentTime < ranges.start(0)) film.currentTime = ranges.start(0);
  if (ranges.length && film.currentTime - ranges.start(0) > 2 * BEHIND) {
    buffer.remove(ranges.start(0), film.currentTime - BEHIND);
    return;
  }
  if (pieces.length && end - film.currentTime < AHEAD) {
    buffer.appendBuffer(pieces.shift());
    pending += 1;
  } else if (pending) {
    tell({ type: "took", count: pending });
    pending = 0;
  }
  if (end > 0 && film.paused && !ended) film.play().catch(() => {});
  if (ended && !pieces.length && !buffer.updating) source.endOfStream();
}

film.addEventListener("timeupdate", feed);

function tell(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function shown(paused) {
  pause.textContent = paused ? "Go on" : "Pause";
  pause.setAttribute("aria-pressed", String(paused));
}

function over() {
  if (ended) return;
  ended = true;
  pause.disabled = stop.disabled = true;
  note.textContent = "The film is over.";
  feed();
}

pause.addEventListener("click", () => tell({ type: "pause", paused: pause.getAttribute("aria-pressed") !== "true" }));
stop.addEventListener("click", () => tell({ type: "stop" }));
document.getElementById("say").addEventListener("submit", (event) => {
  event.preventDefault();
  tell({ type: "prompt", text: prompt.value });
});
