// Plays a film while it is made: fragmented MP4 over a WebSocket into a MediaSource, and prompts back.
const AHEAD = 4; // seconds that may lie ready before more is taken
const BEHIND = 20; // seconds that are kept for looking back

// Sends events: hello, chunk, note, state and end, with the server's message; and shown, when a chunk is seen, with
// its prompt, `delay` (seconds since it was made) and `since` (seconds since its prompt was sent; null if not new).
export class LiveFilm extends EventTarget {
  #video; #socket; #source; #buffer;
  #pieces = []; #pending = 0; #chunks = []; #asked = null; #timer;
  ended = false;

  constructor(video, address, first = null) {
    super();
    this.#video = video;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.#socket = new WebSocket(`${scheme}://${location.host}${address}`);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.addEventListener("open", () => { if (first) this.#tell(first); });
    this.#socket.addEventListener("message", (event) => {
      if (typeof event.data === "string") this.#hear(JSON.parse(event.data));
      else { this.#pieces.push(event.data); this.#feed(); }
    });
    this.#socket.addEventListener("close", () => this.#over({ type: "end" }));
    this.#timer = setInterval(() => { this.#feed(); this.#look(); }, 100);
  }

  say(text) {
    this.#asked = { text, at: performance.now() };
    this.#tell({ type: "prompt", text });
  }

  pause(paused) { this.#tell({ type: "pause", paused }); }

  stop() { this.#tell({ type: "stop" }); }

  leave() {
    this.#socket.close();
    this.#over({ type: "end" });
    clearInterval(this.#timer);
  }

  #tell(message) { if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message)); }

  #hear(message) {
    if (message.type === "hello") {
      if (!("MediaSource" in window) || !MediaSource.isTypeSupported(message.mime)) {
        this.#over({ type: "end", why: "This browser does not play H.264 and AAC from a stream; another one does." });
        this.#socket.close();
        return;
      }
      this.#source = new MediaSource();
      this.#source.addEventListener("sourceopen", () => {
        this.#buffer = this.#source.addSourceBuffer(message.mime);
        this.#buffer.addEventListener("updateend", () => this.#feed());
        this.#feed();
      });
      this.#video.src = URL.createObjectURL(this.#source);
    } else if (message.type === "chunk") {
      this.#chunks.push({ start: message.start, prompt: message.prompt, at: performance.now() });
    }
    if (message.type === "end") this.#over(message);
    else this.#send(message.type, message);
  }

  // One step at a time: the buffer takes nothing while it works. What is not taken makes the source wait.
  #feed() {
    const [buffer, video] = [this.#buffer, this.#video];
    if (!buffer || buffer.updating || this.#source.readyState !== "open") return;
    const ranges = video.buffered;
    const end = ranges.length ? ranges.end(ranges.length - 1) : 0;
    if (ranges.length && video.currentTime < ranges.start(0)) video.currentTime = ranges.start(0);
    if (ranges.length && video.currentTime - ranges.start(0) > 2 * BEHIND) {
      buffer.remove(ranges.start(0), video.currentTime - BEHIND);
      return;
    }
    if (this.#pieces.length && end - video.currentTime < AHEAD) {
      buffer.appendBuffer(this.#pieces.shift());
      this.#pending += 1;
    } else if (this.#pending) {
      this.#tell({ type: "took", count: this.#pending });
      this.#pending = 0;
    }
    if (end > 0 && video.paused && !this.ended) video.play().catch(() => {});
    if (this.ended && !this.#pieces.length && !buffer.updating) this.#source.endOfStream();
  }

  // Which chunk is seen now, and how long ago it was made.
  #look() {
    let seen = null;
    while (this.#chunks.length && this.#video.currentTime >= this.#chunks[0].start) seen = this.#chunks.shift();
    if (!seen || this.#video.readyState < 2) return;
    const now = performance.now();
    let since = null;
    if (this.#asked && seen.prompt === this.#asked.text.trim()) {
      since = (now - this.#asked.at) / 1000;
      this.#asked = null;
    }
    this.#send("shown", { prompt: seen.prompt, start: seen.start, delay: (now - seen.at) / 1000, since });
  }

  #over(message) {
    if (this.ended) return;
    this.ended = true;
    this.#feed();
    this.#send("end", message);
  }

  #send(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}
