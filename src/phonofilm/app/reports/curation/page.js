"use strict";
const { tests, shots } = JSON.parse(document.getElementById("data").textContent);
const usual = Object.fromEntries(tests.map((test) => [test.reason, test.threshold]));
const bins = 40;

function passes(test, shot) {
  const value = shot.measures[test.reason];
  return value !== undefined && (test.above ? value > test.threshold : value < test.threshold);
}

function becomes(does) {
  return does.includes("drop") ? "drop" : does.includes("aside") ? "aside" : "keep";
}

function judge(shot) {
  const found = tests.filter((test) => passes(test, shot));
  if (shot.hand === "keep" && !found.some((test) => test.reason === "test set" && test.does === "drop")) {
    return { found, becomes: "keep" };
  }
  return { found, becomes: becomes(found.map((test) => test.does)) };
}

function digits(value) {
  return Number(value.toPrecision(4)).toString();
}

function histogram(test, values, low, high) {
  const counts = new Array(bins).fill(0);
  for (const value of values) {
    counts[Math.min(bins - 1, Math.max(0, Math.floor(((value - low) / (high - low)) * bins)))] += 1;
  }
  const most = Math.log1p(Math.max(...counts, 1));
  const bars = counts.map((count, place) => {
    const tall = (Math.log1p(count) / most) * 30;
    return `<rect x="${place * 6}" y="${32 - tall}" width="5" height="${tall}" fill="#9aa5b4"><title>${count}</title></rect>`;
  });
  const at = ((test.threshold - low) / (high - low)) * bins * 6;
  return `<svg width="${bins * 6}" height="34" role="img">${bars.join("")}
    <line x1="${at}" x2="${at}" y1="0" y2="34" stroke="#c0392b" stroke-width="2"/></svg>`;
}

function draw() {
  const judged = shots.map(judge);
  const totals = { keep: 0, aside: 0, drop: 0 };
  for (const one of judged) totals[one.becomes] += 1;
  for (const [name, count] of Object.entries(totals)) {
    document.querySelector(`[data-count=${name}]`).textContent = count;
  }
  document.getElementById("bar").innerHTML = Object.entries(totals)
    .map(([name, count]) => `<span class="${name}" style="flex:${count}"></span>`).join("");
  for (const test of tests) {
    const row = document.querySelector(`tr[data-reason="${test.reason}"]`);
    const having = judged.filter((one) => one.found.includes(test));
    const alone = having.filter((one) => one.becomes !== "keep" && one.found.filter((other) => other.does !== "note").length === 1);
    row.querySelector(".count").textContent = having.length || "";
    row.querySelector(".alone").textContent = test.does === "note" ? "" : alone.length || "";
    row.classList.toggle("empty", having.length === 0);
    if (row.range) row.querySelector(".spread").innerHTML = histogram(test, row.values, ...row.range);
  }
  const moved = tests.filter((test) => test.threshold !== usual[test.reason]);
  const command = document.getElementById("command");
  command.hidden = moved.length === 0;
  command.textContent = "phonofilm data curate … " +
    moved.map((test) => `--rule "${test.reason}=${digits(test.threshold)}"`).join(" ");
}

for (const test of tests) {
  const row = document.querySelector(`tr[data-reason="${test.reason}"]`);
  row.values = shots.map((shot) => shot.measures[test.reason]).filter((value) => value !== undefined);
  if (!test.unit || !row.values.length) continue;
  const all = [...row.values, test.threshold];
  let [low, high] = [Math.min(...all), Math.max(...all)];
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  row.range = [low - (low < 0 ? room : Math.min(room, low)), high + room];
  const slider = document.createElement("input");
  slider.type = "range";
  slider.min = 0;
  slider.max = 1000;
  slider.setAttribute("aria-label", `threshold of ${test.reason}`);
  slider.value = ((test.threshold - row.range[0]) / (row.range[1] - row.range[0])) * 1000;
  const shown = document.createElement("output");
  shown.textContent = `${digits(test.threshold)} ${test.unit}`;
  slider.addEventListener("input", () => {
    test.threshold = row.range[0] + (slider.value / 1000) * (row.range[1] - row.range[0]);
    shown.textContent = `${digits(test.threshold)} ${test.unit}`;
    draw();
  });
  row.querySelector(".move").append(slider, shown);
}
draw();
