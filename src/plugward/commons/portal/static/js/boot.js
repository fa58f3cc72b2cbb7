// Requests: every unsafe one carries the CSRF token and the id of this very act, so that pressing
// again after a lost answer repeats the same command instead of making a second one.
(() => {
  "use strict";
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
  const plugward = (window.plugward = { meta, offset_ms: 0 });

  // UUIDv7: the time in front, so that the server can refuse an act that is too old.
  plugward.newId = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    let time = BigInt(Date.now() + plugward.offset_ms);
    for (let at = 5; at >= 0; at -= 1) {
      bytes[at] = Number(time & 255n);
      time >>= 8n;
    }
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  };

  plugward.headers = (act) => ({
    "X-CSRF-Token": meta("csrf"),
    "X-Request-Id": act || plugward.newId(),
  });

  plugward.words = JSON.parse(document.getElementById("portal-words")?.textContent || "{}");
  plugward.say = (text) => {
    const region = document.getElementById("said");
    if (region) region.textContent = text;
  };

  // Browsers keep what stands in a form in their session file, readable, to bring it back after a
  // crash. Drafts do that sealed; a form that is typed into is kept by nobody else.
  document.addEventListener("focusin", (event) => {
    const form = event.target.form;
    if (form && form.id !== "login") form.autocomplete = "off";
  });

  let touched = Date.now();
  const quiet_ms = 3000;
  for (const kind of ["keydown", "pointerdown"]) {
    addEventListener(kind, (event) => event.isTrusted && (touched = Date.now()), { capture: true, passive: true });
  }

  const acts = new WeakMap(); // element → id of an act whose outcome is not known yet
  const safe = new Set(["get", "head", "options"]);

  // A request given up for a newer one, or because its page is left, is no error; what else goes
  // wrong with one is told by events of its own (sendError, timeout, responseError).
  document.addEventListener("DOMContentLoaded", () => {
    if (!window.htmx) return;
    htmx.logger = (_element, name, detail) => {
      if (name === "htmx:afterRequest" || name === "htmx:sendAbort") delete detail.error;
      // What comes for a place that has left the page meanwhile is for nobody.
      if (name === "htmx:beforeSwap" && !detail.target.isConnected) detail.shouldSwap = false;
    };
  });

  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, verb, headers } = event.detail;
    // A page that refreshes itself does not show that somebody is there.
    if (Date.now() - touched > quiet_ms) headers["X-Quiet"] = "1";
    if (safe.has(String(verb).toLowerCase())) return;
    const act = acts.get(elt) ?? elt.dataset.act ?? plugward.newId();
    acts.set(elt, act);
    Object.assign(headers, plugward.headers(act));
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const status = event.detail.xhr?.status ?? 0;
    // No answer, or "may or may not have happened": keep the id for the retry.
    if (status !== 0 && status !== 503 && status !== 504) acts.delete(event.detail.elt);
    if (event.detail.xhr?.getResponseHeader("X-Plugward-Login")) location.reload();
  });

  // A form that htmx has not taken up yet would leave the page natively, its text in the address.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || !(form.hasAttribute("hx-post") || form.hasAttribute("hx-get"))) return;
    event.preventDefault();
    htmx.process(form);
    htmx.trigger(form, "submit");
  });

  // A plain form posts its token and act as fields; buttons are blocked until it leaves once.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.hasAttribute("hx-post") || form.method !== "post") return;
    if (form.dataset.sent === "yes") {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    const act = form.querySelector('input[name="_act"]');
    if (act && !act.value) act.value = plugward.newId();
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
})();
