// Live: one event stream per tab carries ids only; panels fetch what changed under the viewer's
// own rights. When the stream breaks, the page says so and says how old what it shows is.
(() => {
  "use strict";
  const beat_ms_max = 40_000; // the server beats every 15 s
  let last = Date.now();
  let tries = 0;

  const body = () => document.body;
  const conn = () => document.getElementById("conn");
  const now = () => Date.now() + plugward.offset_ms;
  const word = (template, values) => (template ?? "").replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

  const online = () => {
    tries = 0;
    last = Date.now();
    if (body().dataset.offline === undefined) return;
    delete body().dataset.offline;
    show();
    guard(false);
    document.dispatchEvent(new CustomEvent("plugward:online"));
    refreshAll();
    plugward.drafts?.saveAll(false);
  };
  const refreshAll = () => {
    for (const panel of document.querySelectorAll("[data-panel][data-topic]")) htmx.trigger(panel, "refresh");
  };
  const offline = () => {
    tries += 1;
    if (body().dataset.offline === undefined) {
      body().dataset.offline = "yes";
      guard(true);
    }
    show();
  };
  const show = () => {
    const off = body().dataset.offline !== undefined;
    const mark = conn();
    if (mark) {
      mark.classList.toggle("off", off);
      mark.textContent = off ? word(plugward.words.offline, { tries }) : plugward.words.online;
    }
    document.getElementById("offline-note")?.toggleAttribute("hidden", !off);
  };

  // Writing goes on; signing, charging and dispensing need the server and say so.
  const guard = (off) => {
    for (const control of document.querySelectorAll("[data-needs-server]")) {
      if (off && !control.disabled) {
        control.disabled = true;
        control.dataset.guarded = "yes";
        control.dataset.reason = plugward.words.needs_server;
        control.title = plugward.words.needs_server;
      } else if (!off && control.dataset.guarded) {
        control.disabled = false;
        control.removeAttribute("title");
        delete control.dataset.guarded;
        delete control.dataset.reason;
      }
    }
  };

  // What this page listens to follows from its panels. Deferred scripts run before htmx looks at
  // the page, so the stream is opened with the right names.
  const topics = new Set();
  for (const element of document.querySelectorAll("[hx-trigger*='sse:']")) {
    for (const part of element.getAttribute("hx-trigger").matchAll(/sse:([^\s,]+)/g)) topics.add(part[1]);
  }
  const source = document.querySelector("[data-live]");
  if (source && document.body.dataset.viewer) {
    source.setAttribute("sse-connect", `${source.dataset.live}?topics=${encodeURIComponent([...topics].join(","))}`);
  }

  document.addEventListener("htmx:sseMessage", () => (last = Date.now()));
  document.addEventListener("htmx:sseOpen", online);
  document.addEventListener("htmx:sseError", offline);
  addEventListener("offline", offline);
  document.addEventListener("htmx:load", () => guard(body().dataset.offline !== undefined));

  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    online();
    const message = event.detail;
    if (message.type === "beat") {
      const server = Number(message.data);
      if (server > 0) plugward.offset_ms = server - Date.now();
      else refreshAll(); // more was missed than the server could tell
    }
    // The extension would swap the text of the message into the page; ids are not for reading.
    event.preventDefault();
  });

  // ── how old is what we see ────────────────────────────────────────────────────────────────
  const ago = (seconds) => {
    const words = plugward.words;
    return seconds < 60 ? word(words.seconds_ago, { n: Math.round(seconds) }) : word(words.minutes_ago, { n: Math.round(seconds / 60) });
  };
  const clock = (time, seconds) =>
    new Date(time).toLocaleTimeString("zh-CN", { hour: "2-digit", minute: "2-digit", ...(seconds && { second: "2-digit" }), hour12: false, timeZone: plugward.meta("zone") || undefined });

  const age = () => {
    for (const mark of document.querySelectorAll("[data-asof]")) {
      const at = Date.parse(mark.dataset.asof);
      const old = (now() - at) / 1000;
      const stale = old > Number(mark.dataset.freshS || 60);
      mark.closest("[data-panel]")?.classList.toggle("is-stale", stale);
      if (mark.dataset.always === undefined) mark.hidden = !stale;
      const text = mark.querySelector("[data-age]") ?? mark;
      text.textContent = stale
        ? word(plugward.words.as_of, { time: clock(at, false), ago: ago(old) })
        : word(plugward.words.updated, { time: clock(at, true) });
      mark.classList.toggle("is-old", stale);
    }
    for (const spot of document.querySelectorAll("[data-clock]")) spot.textContent = clock(now(), false);
  };

  const watch = () => {
    if (document.querySelector("[sse-connect]") && Date.now() - last > beat_ms_max) offline();
    age();
  };
  document.addEventListener("DOMContentLoaded", () => {
    const server = Date.parse(plugward.meta("server-time"));
    if (server) plugward.offset_ms = server - Date.now();
    age();
    setInterval(watch, 5000);
  });
  document.addEventListener("htmx:afterSettle", age);
})();
