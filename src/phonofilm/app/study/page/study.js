"use strict";
// The page of one rater. All that counts is on the server: this shows its state and sends what the rater does,
// again and again until it has arrived. An answer not yet arrived is kept in the browser, so a reload loses nothing.

// People share browsers: each name in the address (?id=NAME) has a place of its own here, and where there is no name the
// page asks whether the person who comes back is the same.

const query = new URLSearchParams(location.search);
const outside = query.get("id") || null;
const place = outside ? `${location.pathname}#${outside}` : location.pathname;
const store = { token: `phonofilm.rater.${place}`, pending: `phonofilm.pending.${place}`, draft: `phonofilm.draft.${place}` };
const main = document.getElementById("main");
const status = document.getElementById("status");
let about = null;
let me = null; // this page's rater; never read again from the browser, where another tab may have put another one
let link = query.get("key") || null;

function storage(name) {
  const memory = new Map(); // where the browser forbids storing, the page works until it is closed
  const kept = { getItem: (k) => memory.get(k) ?? null, setItem: (k, v) => memory.set(k, v), removeItem: (k) => memory.delete(k) };
  try {
    globalThis[name].getItem("phonofilm");
    return globalThis[name];
  } catch { return kept; }
}
const local = storage("localStorage");
const session = storage("sessionStorage");

function keep(where, key, value) {
  try { where.setItem(key, value); } catch { /* full: a reload will ask again */ }
}

function forget() {
  me = null;
  for (const key of Object.values(store)) { local.removeItem(key); session.removeItem(key); }
}

// ---------- talking to the server

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (me) headers["X-Rater"] = me;
  for (let pause = 500; ; pause = Math.min(pause * 2, 8000)) {
    try {
      const answer = await fetch(path, body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) });
      if (answer.status >= 500) throw new Error("server");
      if (answer.status === 429 && answer.headers.get("Retry-After")) {
        status.textContent = "Many people are here at once. Trying again; your answers are kept.";
        await wait(1000 * Math.min(Number(answer.headers.get("Retry-After")) || 5, 60));
        continue;
      }
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
  document.onvisibilitychange = null;
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
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("textarea")) return;
  if (event.target.matches("input[type=range]") && /^(Arrow|Page|Home|End)/.test(event.key)) return;
  if (keys(event)) event.preventDefault();
});

// ---------- the stages

async function next(state) {
  setProgress(state.progress);
  footer(true);
  if (state.stage === "headphones") headphones(state);
  else if (state.stage === "latency") latency();
  else if (state.stage === "trial") (state.trial.kind === "mushra" ? mushra : trial)(state.trial);
  else done(state);
}

function welcome() {
  const agree = make("input", { type: "checkbox", id: "agree" });
  const start = make("button", { className: "main", id: "start", disabled: true }, "Start");
  agree.onchange = () => { start.disabled = !agree.checked; };
  start.onclick = async () => {
    start.disabled = true;
    try { await join(); } catch (error) { refusal(error.message); }
  };
  footer(false);
  show(make("section", { className: "card" },
    make("h1", {}, "How well do picture and sound go together?"),
    make("p", {}, `You will see ${about.trials} short clips and say what you think of them. It takes about ${about.minutes} minutes. There are no right answers: say what you see and hear.`),
    make("ul", {},
      make("li", {}, "Wear headphones, both sides on the right ears, in a quiet room."),
      make("li", {}, "Each clip plays to its end before you can answer; play it again as often as you like."),
      make("li", {}, outside
        ? "You can close this page at any time and go on later, with the link that the page then shows you."
        : "You can close this page at any time and go on later, in the same browser."),
      make("li", {}, "You can withdraw at any time; your answers are then deleted.")),
    make("label", { className: "check" }, agree,
      make("span", {}, "I take part of my own will. What I answer, and when, is stored under a number without my name.")),
    make("div", { className: "row" }, start)));
}

async function join() {
  const { token, key } = await call("api/join", { outside, key: link });
  me = token;
  link = key;
  keep(local, store.token, token);
  keep(session, store.token, token);
  // the address becomes the rater's own link, which leads back here from any browser
  if (key && typeof history !== "undefined") history.replaceState(null, "", `${location.pathname}?${new URLSearchParams({ id: outside, key })}`);
  next(await call("api/state"));
}

function refusal(message) {
  footer(false);
  show(make("section", { className: "card" }, make("h1", {}, "You cannot begin here."), make("p", {}, `${message[0].toUpperCase()}${message.slice(1)}.`)));
}

function whoIsIt(state) {
  const same = make("button", { className: "main", id: "same" }, "Go on");
  const other = make("button", { id: "other" }, "I am somebody else");
  same.onclick = () => { keep(session, store.token, me); next(state); };
  other.onclick = () => { forget(); welcome(); };
  const { done: answered, total } = state.progress;
  footer(false);
  show(make("section", { className: "card" },
    make("h1", {}, "Welcome back."),
    make("p", {}, state.stage === "done"
      ? "Somebody has finished this study in this browser."
      : `Somebody has begun this study in this browser, and has answered ${answered} of ${total} questions.`),
    make("p", {}, "Is that you?"),
    make("div", { className: "row" }, same, other)));
}

function footer(shown) {
  const box = document.getElementById("footer");
  const quit = make("button", { type: "button", id: "withdraw" }, "Withdraw");
  quit.onclick = withdrawal;
  const other = make("button", { type: "button", id: "not-me" }, "I am somebody else");
  other.onclick = () => { forget(); welcome(); };
  const own = link && outside ? make("a", { href: `${location.pathname}?${new URLSearchParams({ id: outside, key: link })}`, id: "link" }, "Your own link") : null;
  box.hidden = !shown;
  box.replaceChildren(...[own, outside ? null : other, quit].filter((part) => part));
}

function withdrawal() {
  const yes = make("button", { className: "main", id: "delete" }, "Delete my answers");
  const no = make("button", { id: "stay" }, "Go on with the study");
  yes.onclick = async () => {
    yes.disabled = true;
    try { await call("api/withdraw", {}); } catch (error) { if (error.refused !== 410) throw error; }
    forget();
    footer(false);
    document.getElementById("progress").hidden = true;
    show(make("section", { className: "card" }, make("h1", {}, "Your answers are deleted."), make("p", {}, "Thank you for your time. You can close this page.")));
  };
  no.onclick = async () => next(await call("api/state"));
  show(make("section", { className: "card" },
    make("h1", {}, "Withdraw?"),
    make("p", {}, "All that you have answered is deleted at once, and you cannot go on. This cannot be undone."),
    make("div", { className: "row" }, yes, no)));
}

function headphones({ sounds, failed }) {
  const heard = Array(sounds).fill(null);
  const go = make("button", { className: "main", id: "go", disabled: true }, "Continue");
  const rows = heard.map((_, number) => {
    const audio = make("audio", { src: `sound/${number}.wav?rater=${encodeURIComponent(me)}&try=${failed}`, preload: "auto" });
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
      try { await audio.play(); } catch { play.textContent = "Could not be played: try again"; audio.load(); return; }
      for (const side of sides) side.disabled = false;
    };
    return make("li", { "aria-label": `Sound ${number + 1}` }, make("b", {}, String(number + 1)), play, ...sides, audio);
  });
  go.onclick = async () => { go.disabled = true; next(await call("api/headphones", { heard, attempt: failed })); };
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

function film(current, number, name, onEnd, onStart = () => {}) {
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
    onStart();
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
  return { figure, play, toggle: () => (video.paused ? play() : video.pause()) };
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
    await deliver({ trial: current.index, answers, token: me });
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

// all versions of a scene beside its open reference, each with a slider from 0 to 100 (ITU-R BS.1534)
const WORDS = ["bad", "poor", "fair", "good", "excellent"];

function mushra(current) {
  const names = current.clips.map((_, i) => (i ? String.fromCharCode(64 + i) : "Reference"));
  const lock = make("p", { className: "lock", id: "lock", role: "status" });
  const send = make("button", { className: "main", type: "submit", id: "send" }, "Next");
  const missing = make("p", { className: "hint", id: "missing" });
  const values = draft(current.index);
  let active = 0;

  function choose(i) {
    active = i;
    films.forEach((one, k) => { one.figure.hidden = k !== active; });
    rows.forEach((row, k) => row.classList.toggle("now", k === active));
  }
  const films = current.clips.map((_, i) => film(current, i, i ? `version ${names[i]}` : "the reference", refresh, () => choose(i)));
  const sliders = current.clips.map((_, i) => {
    if (!i) return null;
    const slider = make("input", { type: "range", min: 0, max: 100, step: 1, value: values[names[i]] ?? 50, id: `score-${names[i]}` });
    slider.setAttribute("aria-label", `Score of version ${names[i]}`);
    const set = () => { values[names[i]] = Number(slider.value); keep(local, store.draft, JSON.stringify({ token: me, trial: current.index, values })); refresh(); };
    slider.oninput = slider.onchange = slider.onpointerup = set;
    return slider;
  });
  const outputs = sliders.map((slider) => slider && make("output", {}, "–"));
  const rows = current.clips.map((_, i) => {
    const play = make("button", { type: "button", className: "listen", "aria-label": i ? `Play version ${names[i]}` : "Play the reference" }, i ? names[i] : "Reference");
    play.onclick = () => (i === active ? films[i].toggle() : films[i].play());
    return make("div", { className: i ? "version" : "version reference" }, play, sliders[i], outputs[i]);
  });
  const open = () => current.clips.every((clip) => clip.ended);

  function refresh() {
    current.clips.forEach((clip, i) => {
      rows[i].classList.toggle("played", clip.ended);
      if (!i) return;
      const value = values[names[i]];
      sliders[i].disabled = !clip.ended;
      rows[i].classList.toggle("set", value !== undefined);
      outputs[i].textContent = value ?? "–";
      sliders[i].setAttribute("aria-valuetext", value === undefined ? "no score yet" : `${value}, ${WORDS[Math.min(4, Math.floor(value / 20))]}`);
    });
    const empty = names.slice(1).filter((name) => values[name] === undefined);
    send.disabled = !open() || empty.length > 0;
    lock.textContent = open() ? "" : "Play the reference and every version to its end first.";
    missing.textContent = open() && empty.length ? `${empty.length} to score` : "";
  }

  const form = make("form", { className: "versions" },
    make("p", { className: "question" }, current.scales[0].question),
    rows[0],
    make("div", { className: "version words", "aria-hidden": "true" }, make("span", {}), make("div", {}, ...WORDS.map((word) => make("small", {}, word))), make("span", {})),
    ...rows.slice(1),
    make("div", { className: "submit" }, make("div", {}, lock, missing), send));
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (send.disabled) return;
    send.disabled = true;
    await deliver({ trial: current.index, answers: { ...values }, token: me });
    local.removeItem(store.draft);
  };
  const prompt = current.prompt ? make("p", { className: "prompt" }, current.prompt) : null;
  const hint = make("p", { className: "hint" }, make("kbd", {}, "R"), " reference · ", make("kbd", {}, "A"), "–", make("kbd", {}, names.at(-1)), " play a version · ",
    make("kbd", {}, "0"), "–", make("kbd", {}, "9"), " score in tens · ", make("kbd", {}, "←"), " ", make("kbd", {}, "→"), " finer · ", make("kbd", {}, "Enter"), " next");
  show(make("section", { className: "trial mushra" },
    make("div", { className: "stage" }, ...films.map((one) => one.figure), prompt),
    make("div", {}, make("p", { className: "soft" }, "One of the versions is the reference itself. Give what sounds like it 100, and the others their place below."), form, hint)));
  keys = (event) => {
    const key = event.key.toLowerCase();
    const version = key === "r" ? 0 : names.indexOf(key.toUpperCase());
    if (version >= 0) { films[version].play(); if (version && !sliders[version].disabled) sliders[version].focus(); }
    else if (event.target.matches("button") && (key === " " || key === "enter")) return false;
    else if (key === " ") films[active].toggle();
    else if (/^[0-9]$/.test(key) && active && !sliders[active].disabled) { sliders[active].value = 10 * Number(key); sliders[active].oninput(); sliders[active].focus(); }
    else if (key === "enter" && !send.disabled) form.requestSubmit();
    else return false;
    return true;
  };
  document.onvisibilitychange = () => tell(document.hidden ? "hidden" : "shown", current.index);
  choose(0);
  refresh();
}

function draft(trial) {
  try {
    const kept = JSON.parse(local.getItem(store.draft) || "null");
    return kept && kept.token === me && kept.trial === trial ? kept.values : {};
  } catch { return {}; }
}

async function deliver(answer) {
  keep(local, store.pending, JSON.stringify(answer));
  const state = await sent(answer);
  next(state);
}

async function sent(answer) {
  let state;
  try {
    state = await call(`api/rate/${answer.trial}`, { answers: answer.answers });
  } catch {
    state = await call("api/state"); // refused: the server knows better what comes next
  }
  local.removeItem(store.pending);
  return state;
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

async function resume() {
  let state;
  try {
    let kept = null;
    try { kept = JSON.parse(local.getItem(store.pending) || "null"); } catch { /* not ours */ }
    state = kept && kept.token === me ? await sent(kept) : await call("api/state");
  } catch (error) {
    if (error.refused !== 401 && error.refused !== 410) return refusal(error.message);
    forget();
    return outside ? invitation() : welcome();
  }
  // without a name in the address another person may sit here now; a reload in the same tab is the same person
  if (!outside && session.getItem(store.token) !== me) return whoIsIt(state);
  next(state);
}

async function invitation() {
  try {
    const { known } = await call(`api/join?${new URLSearchParams(link ? { id: outside, key: link } : { id: outside })}`);
    if (known) await join();
    else welcome();
  } catch (error) {
    if (!error.refused) throw error;
    refusal(error.message);
  }
}

// the page that the back button brings, and a second tab, must not answer for somebody who has begun here since
addEventListener("pageshow", (event) => { if (event.persisted && local.getItem(store.token) !== me) location.reload(); });
addEventListener("storage", (event) => { if (event.key === store.token && event.newValue !== me) location.reload(); });

(async () => {
  about = await call("api/study");
  document.title = about.title;
  document.getElementById("title").textContent = about.title;
  me = local.getItem(store.token);
  if (me) await resume();
  else if (outside) await invitation();
  else welcome();
})();
