// Panels: each region asks its own board and fails alone. Old content stays until new arrives;
// a skeleton shows only in an empty panel and only after 150 ms; a board that does not answer in
// its time is replaced by its declared fallback line.
(() => {
  "use strict";
  const skeleton_ms = 150;
  const timers = new WeakMap();
  const panelOf = (element) => element.closest?.("[data-panel]");
  const shape = (panel, kind) => panel.querySelector(`:scope > template[data-${kind}]`);
  const place = (panel) => panel.querySelector(":scope > [data-content]") ?? panel;

  const put = (panel, kind) => {
    const template = shape(panel, kind);
    if (!template) return null;
    const content = place(panel);
    content.replaceChildren(template.content.cloneNode(true));
    htmx.process(content);
    return content;
  };

  document.addEventListener("htmx:beforeRequest", (event) => {
    const panel = panelOf(event.detail.elt);
    if (!panel) return;
    panel.setAttribute("aria-busy", "true");
    if (place(panel).childElementCount > 0) return;
    timers.set(panel, setTimeout(() => put(panel, "skeleton"), skeleton_ms));
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    const panel = panelOf(event.detail.elt);
    if (!panel) return;
    clearTimeout(timers.get(panel));
    panel.removeAttribute("aria-busy");
    if (event.detail.successful) {
      delete panel.dataset.failed;
      return;
    }
    const status = event.detail.xhr?.status ?? 0;
    const asked = event.detail.requestConfig?.verb === "get";
    // A refusal is an answer; only a board that failed or stayed silent is replaced.
    if (asked && (status === 0 || status >= 500)) fail(panel, event.detail.xhr);
  });

  const fail = (panel, xhr) => {
    panel.dataset.failed = "yes";
    const kept = place(panel).querySelector("[data-kept]"); // content worth keeping, though old
    if (kept) {
      panel.querySelector("[data-stale]")?.removeAttribute("hidden");
      return;
    }
    const content = put(panel, "fallback");
    const id = xhr?.getResponseHeader?.("X-Request-Id") ?? "";
    const spot = content?.querySelector("[data-error-id]");
    if (spot) spot.textContent = id ? id.slice(0, 13) : "";
  };

  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-retry]")) return;
    const panel = panelOf(event.target);
    if (panel) htmx.trigger(panel, "retry");
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "r" && event.key !== "R") return;
    if (event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "")) return;
    const failed = document.querySelectorAll("[data-panel][data-failed]");
    for (const panel of failed) htmx.trigger(panel, "retry");
  });

  // Refusals are shown in the form (or row) they concern; nothing typed is lost.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, requestConfig } = event.detail;
    if (xhr.status < 400) {
      spotFor(requestConfig.elt)?.replaceChildren();
      return;
    }
    if (xhr.status >= 500 && requestConfig.verb === "get") return;
    const spot = spotFor(requestConfig.elt);
    if (!spot || !(xhr.getResponseHeader("Content-Type") ?? "").startsWith("text/html")) return;
    event.detail.shouldSwap = true;
    event.detail.isError = false;
    event.detail.target = spot;
    event.detail.swapOverride = "innerHTML";
  });
  // The nearest place kept for refusals: in the form, in the row, at last in the page.
  const spotFor = (element) => {
    for (let scope = element; scope; scope = scope.parentElement) {
      const spot = scope.matches("form, [data-refusals], #main") && scope.querySelector("[data-refusal]");
      if (spot) return spot;
    }
    return document.querySelector("[data-refusal]");
  };

  // An act without an answer: nobody knows whether it happened; pressing again repeats the same id.
  const unknown = (event) => {
    if (event.detail.requestConfig?.verb === "get") return;
    const spot = spotFor(event.detail.elt);
    const template = document.getElementById("unknown-outcome");
    if (spot && template) spot.replaceChildren(template.content.cloneNode(true));
  };
  document.addEventListener("htmx:sendError", unknown);
  document.addEventListener("htmx:timeout", unknown);
})();
