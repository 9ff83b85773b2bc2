"use strict";
// The page of one rater. All that counts is on the server: this shows its state and sends what the rater does,
// again and again until it has arrived. An answer not yet arrived is kept in the browser, so a reload loses nothing.

const place = location.pathname;
const store = { token: `phonofilm.rater.${place}`, pending: `phonofilm.pending.${place}` };
const main = document.getElementById("main");
const status = document.getElementById("status");
let about = null;

// ---------- talking to the server

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  const token = localStorage.getItem(store.token);
  if (token) headers["X-Rater"] = token;
  for (let pause = 500; ; pause = Math.min(pause * 2, 8000)) {
    try {
      const answer = await fetch(path, body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) });
      if (answer.status >= 500) throw new Error("server");
      const value = await answer.json();
      status.textContent = "";
      if (!answer.ok) throw Object.assign(new Error(value.error || "This did not work."), { refused: answer.status });
      return value;
    } catch (error) {
      if (error.refused) throw error;
      status.textContent = "Connection lost. Trying again; your answers are kept.";
      await wait(pause);
    }
  }
}

function tell(kind, trial, clip, extra) {
  return call("api/event", { kind, trial, clip, at: performance.now() / 1000, ...extra }).catch(() => null);
}

// ---------- building blocks

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function show(...children) {
  keys = () => false;
  main.replaceChildren(...children);
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function setProgress({ done, total }) {
  const box = document.getElementById("progress");
  const share = total ? Math.round((100 * done) / total) : 0;
  box.hidden = false;
  box.setAttribute("aria-valuenow", share);
  box.setAttribute("aria-valuetext", `${done} of ${total} done`);
  document.getElementById("bar").style.width = `${share}%`;
  document.getElementById("count").textContent = `${done} of ${total}`;
}

let keys = () => false;
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("textarea, input[type=range]")) return;
  if (keys(event)) event.preventDefault();
});

// ---------- the stages

async function next(state) {
  setProgress(state.progress);
  if (state.stage === "headphones") headphones(state);
  else if (state.stage === "latency") latency();
  else if (state.stage === "trial") trial(state.trial);
  else done(state);
}

function welcome() {
  const agree = make("input", { type: "checkbox", id: "agree" });
  const start = make("button", { className: "main", id: "start", disabled: true }, "Start");
  agree.onchange = () => { start.disabled = !agree.checked; };
  start.onclick = async () => {
    start.disabled = true;
    const outside = new URLSearchParams(location.search).get("id");
    const { token } = await call("api/join", { outside });
    localStorage.setItem(store.token, token);
    next(await call("api/state"));
  };
  show(make("section", { className: "card" },
    make("h1", {}, "How well do picture and sound go together?"),
    make("p", {}, `You will see ${about.trials} short clips and say what you think of them. It takes about ${about.minutes} minutes. There are no right answers: say what you see and hear.`),
    make("ul", {},
      make("li", {}, "Wear headphones, both sides on the right ears, in a quiet room."),
      make("li", {}, "Each clip plays to its end before you can answer; play it again as often as you like."),
      make("li", {}, "You can close this page at any time and go on later, in the same browser.")),
    make("label", { className: "check" }, agree,
      make("span", {}, "I take part of my own will. What I answer, and when, is stored under a number without my name.")),
    make("div", { className: "row" }, start)));
}

function headphones({ sounds, failed }) {
  const token = localStorage.getItem(store.token);
  const heard = Array(sounds).fill(null);
  const go = make("button", { className: "main", id: "go", disabled: true }, "Continue");
  const rows = heard.map((_, number) => {
    const audio = make("audio", { src: `sound/${number}.wav?rater=${encodeURIComponent(token)}&try=${failed}`, preload: "auto" });
    const play = make("button", { type: "button", className: "listen" }, `Play sound ${number + 1}`);
    const sides = ["left", "right"].map((side) => {
      const button = make("button", { type: "button", className: `side ${side}`, disabled: true, "aria-pressed": "false" }, side === "left" ? "← Left" : "Right →");
      button.onclick = () => {
        heard[number] = side;
        for (const other of sides) other.setAttribute("aria-pressed", String(other === button));
        go.disabled = heard.includes(null);
      };
      return button;
    });
    play.onclick = async () => {
      audio.currentTime = 0;
      await audio.play();
      for (const side of sides) side.disabled = false;
    };
    return make("li", { "aria-label": `Sound ${number + 1}` }, make("b", {}, String(number + 1)), play, ...sides, audio);
  });
  go.onclick = async () => { go.disabled = true; next(await call("api/headphones", { heard })); };
  show(make("section", { className: "card" },
    make("h1", {}, "Left or right?"),
    make("p", {}, failed
      ? "That was not all right. Are both sides of your headphones plugged in, and on the right ears? Please try once more."
      : "Put your headphones on and set a comfortable volume. Play each sound and say on which side you hear it."),
    make("ol", { className: "sounds" }, ...rows),
    make("div", { className: "row" }, go)));
}

function latency() {
  const offsets = about.probe;
  const middle = offsets.indexOf(0);
  const video = make("video", { className: "probe", playsInline: true, preload: "auto", "aria-label": "A flash and a beep" });
  const play = make("button", { "aria-label": "Play" }, make("span", { className: "play" }));
  // start off the middle, so that leaving it there says nothing
  const slider = make("input", { type: "range", id: "offset", min: 0, max: offsets.length - 1, step: 1, value: middle + (Math.random() < .5 ? -3 : 3) });
  slider.setAttribute("aria-label", "When the beep comes");
  const together = make("button", { className: "main", id: "together", disabled: true }, "Now they are together");
  const unsure = make("button", { id: "unsure" }, "I cannot tell");
  const turn = () => { video.src = `probe/${offsets[slider.value]}.mp4`; video.loop = true; };
  const start = () => { play.hidden = true; video.play().then(() => { together.disabled = false; }, () => { play.hidden = false; }); };
  slider.oninput = () => { turn(); start(); };
  play.onclick = start;
  turn();
  const send = async (offset) => { together.disabled = unsure.disabled = true; video.pause(); next(await call("api/latency", { offset, audio: await soundDelay() })); };
  together.onclick = () => send(offsets[slider.value]);
  unsure.onclick = () => send(null);
  show(make("section", { className: "card" },
    make("h1", {}, "Flash and beep"),
    make("p", {}, "Some devices delay the sound. Play this little film and move the slider until the beep falls exactly on the flash."),
    make("div", { className: "screen probe" }, video, play),
    make("div", { className: "slider soft" }, slider, make("span", {}, "beep earlier"), make("span", {}, "beep later")),
    make("div", { className: "row" }, together, unsure),
    make("p", { className: "hint" }, "The arrow keys move the slider.")));
}

async function soundDelay() {
  try {
    const context = new AudioContext();
    const found = { base: context.baseLatency ?? null, output: context.outputLatency ?? null, rate: context.sampleRate };
    await context.close();
    return found;
  } catch { return {}; }
}

// ---------- clips

function film(current, number, name, onEnd) {
  const clip = current.clips[number];
  const video = make("video", { src: clip.url, playsInline: true, preload: "auto", disablePictureInPicture: true });
  video.setAttribute("aria-label", name);
  const button = make("button", { type: "button", className: clip.ended ? "again" : "", "aria-label": `Play ${name}` }, make("span", { className: "play" }));
  const bar = make("i");
  const note = make("span", {}, clip.ended ? "played" : "not yet played");
  let furthest = 0;
  const play = () => {
    for (const other of document.querySelectorAll("video")) if (other !== video) other.pause();
    if (video.ended) video.currentTime = furthest = 0;
    button.hidden = true;
    video.play().catch(() => { button.hidden = false; });
  };
  button.onclick = play;
  video.oncontextmenu = (event) => event.preventDefault();
  video.onplay = () => tell("play", current.index, number);
  video.onpause = () => { if (!video.ended) { button.hidden = false; tell("pause", current.index, number); } };
  video.ontimeupdate = () => {
    bar.style.width = `${(100 * video.currentTime) / (video.duration || 1)}%`;
    furthest = Math.max(furthest, Math.min(video.currentTime, furthest + 1));
  };
  // no jumping ahead: the end only counts if everything before it was played
  video.onseeking = () => { if (video.currentTime > furthest + 0.5) { video.currentTime = furthest; tell("seek", current.index, number); } };
  video.onratechange = () => { if (video.playbackRate !== 1) video.playbackRate = 1; };
  video.onstalled = () => tell("stalled", current.index, number);
  video.onerror = () => {
    tell("error", current.index, number);
    note.textContent = "could not be loaded; trying again";
    setTimeout(() => { video.load(); button.hidden = false; }, 2000);
  };
  video.onended = async () => {
    bar.style.width = "100%";
    button.hidden = false;
    button.className = "again";
    button.setAttribute("aria-label", `Play ${name} again`);
    for (;;) {
      try {
        await call("api/event", { kind: "ended", trial: current.index, clip: number, at: performance.now() / 1000 });
        break;
      } catch (error) {
        if (error.refused !== 423) { next(await call("api/state")); return; }
        await wait(300);
      }
    }
    note.textContent = "played";
    clip.ended = true;
    onEnd();
  };
  const figure = make("figure", { className: "film" },
    make("div", { className: "screen" }, video, button),
    make("div", { className: "time" }, bar),
    make("figcaption", {}, make("b", {}, name), note));
  return { figure, toggle: () => (video.paused ? play() : video.pause()) };
}

function question(scale, choices, three) {
  const group = make("div", { className: three ? "scale three" : "scale" });
  for (const [value, text, meaning] of scale.optional ? [...choices, ["none", "?", "cannot tell"]] : choices) {
    const input = make("input", { type: "radio", name: scale.name, value, required: true });
    input.setAttribute("aria-label", meaning ? `${text}, ${meaning}` : text);
    group.append(make("label", {}, input, make("span", {}, text), meaning ? make("small", {}, meaning) : null));
  }
  if (scale.optional) group.classList.add("six");
  return make("fieldset", { "data-scale": scale.name }, make("legend", {}, scale.question), group);
}

function trial(current) {
  const pair = current.kind === "pair";
  const names = pair ? ["Clip A", "Clip B"] : ["Clip"];
  const lock = make("p", { className: "lock", id: "lock", role: "status" });
  const send = make("button", { className: "main", type: "submit", id: "send" }, "Next");
  const missing = make("p", { className: "hint", id: "missing" });
  const form = make("form", {},
    ...current.scales.map((scale) => question(scale, pair
      ? [["1", "A"], ["0", "no difference"], ["-1", "B"]]
      : [1, 2, 3, 4, 5].map((v) => [String(v), String(v), v === 1 ? scale.ends[0] : v === 5 ? scale.ends[1] : ""]), pair)),
    make("div", { className: "submit" }, make("div", {}, lock, missing), send));
  const boxes = [...form.querySelectorAll("fieldset")];
  const open = () => current.clips.every((clip) => clip.ended);
  let active = 0;

  function refresh() {
    const locked = !open();
    form.setAttribute("aria-disabled", String(locked));
    for (const input of form.querySelectorAll("input")) input.disabled = locked;
    const empty = boxes.filter((box) => !box.querySelector(":checked"));
    send.disabled = locked || empty.length > 0;
    missing.textContent = locked || !empty.length ? "" : `${empty.length} to answer`;
    lock.textContent = locked ? (pair ? "Play both clips to their end first." : "Play the clip to its end first.") : "";
    boxes.forEach((box, i) => box.classList.toggle("now", !locked && i === active));
  }
  function choose(place) {
    const input = boxes[active].querySelectorAll("input")[place];
    if (!input || input.disabled) return;
    input.checked = true;
    active = Math.min(active + 1, boxes.length - 1);
    refresh();
  }
  form.onchange = (event) => { active = Math.min(boxes.indexOf(event.target.closest("fieldset")) + 1, boxes.length - 1); refresh(); };
  form.onfocusin = (event) => { const box = event.target.closest("fieldset"); if (box) { active = boxes.indexOf(box); refresh(); } };
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (send.disabled) return;
    send.disabled = true;
    const answers = {};
    for (const box of boxes) {
      const { value } = box.querySelector(":checked");
      answers[box.dataset.scale] = value === "none" ? null : Number(value);
    }
    await deliver({ trial: current.index, answers, token: localStorage.getItem(store.token) });
  };

  const films = current.clips.map((_, i) => film(current, i, names[i], refresh));
  const prompt = current.prompt ? make("p", { className: "prompt" }, current.prompt) : null;
  const hint = make("p", { className: "hint" }, ...(pair
    ? [make("kbd", {}, "A"), " ", make("kbd", {}, "B"), " play · ", make("kbd", {}, "1"), " A  ", make("kbd", {}, "2"), " no difference  ", make("kbd", {}, "3"), " B · ", make("kbd", {}, "Enter"), " next"]
    : [make("kbd", {}, "Space"), " play · ", make("kbd", {}, "1"), "–", make("kbd", {}, "5"), " rate · ", make("kbd", {}, "↑"), " ", make("kbd", {}, "↓"), " question · ", make("kbd", {}, "Enter"), " next"]));
  if (pair) {
    show(make("section", { className: "pair" }, make("div", {}, make("div", { className: "films" }, ...films.map((f) => f.figure)), prompt), form, hint));
  } else {
    show(make("section", { className: "trial" }, make("div", {}, films[0].figure, prompt, make("p", {}, hint)), form));
  }
  keys = (event) => {
    const key = event.key.toLowerCase();
    if (event.target.matches("button") && (key === " " || key === "enter")) return false;
    if (!pair && key === " ") films[0].toggle();
    else if (pair && (key === "a" || key === "b")) films[key === "a" ? 0 : 1].toggle();
    else if (/^[1-9]$/.test(key)) choose(Number(key) - 1);
    else if (key === "0" && !pair) choose(5);
    else if (key === "enter" && !send.disabled) form.requestSubmit();
    else if ((key === "arrowdown" || key === "arrowup") && !event.target.matches("input")) {
      active = Math.max(0, Math.min(boxes.length - 1, active + (key === "arrowdown" ? 1 : -1)));
      refresh();
    } else return false;
    return true;
  };
  document.onvisibilitychange = () => tell(document.hidden ? "hidden" : "shown", current.index);
  refresh();
}

async function deliver(answer) {
  localStorage.setItem(store.pending, JSON.stringify(answer));
  let state;
  try {
    state = await call(`api/rate/${answer.trial}`, { answers: answer.answers });
  } catch {
    state = await call("api/state"); // refused: the server knows better what comes next
  }
  localStorage.removeItem(store.pending);
  next(state);
}

function done({ code }) {
  const words = make("textarea", { id: "comment", maxLength: 4000 });
  words.setAttribute("aria-label", "Anything you want to tell us");
  const send = make("button", {}, "Send");
  send.onclick = async () => {
    send.disabled = true;
    await tell("comment", null, null, { text: words.value });
    send.textContent = "Sent, thank you";
  };
  show(make("section", { className: "card" },
    make("h1", {}, "Thank you."),
    make("p", {}, "All your answers are stored. If somebody asked you for a code, it is"),
    make("p", { className: "code" }, code),
    make("p", {}, "Was anything odd, broken or hard to judge?"),
    words,
    make("div", { className: "row" }, send)));
}

// ---------- begin, or go on where the rater stopped

(async () => {
  about = await call("api/study");
  document.title = about.title;
  document.getElementById("title").textContent = about.title;
  if (!localStorage.getItem(store.token)) return welcome();
  try {
    const kept = JSON.parse(localStorage.getItem(store.pending) || "null");
    if (kept && kept.token === localStorage.getItem(store.token)) return await deliver(kept);
    next(await call("api/state"));
  } catch {
    localStorage.removeItem(store.token);
    welcome();
  }
})();
