// Shell: dialogs, command palette, tabs, lock.
(() => {
  "use strict";
  // ── dialogs: opened by data-open="id", closed by Esc, data-close, or a click beside them ────
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-open]");
    if (opener) document.getElementById(opener.dataset.open)?.showModal();
    const dialog = event.target.closest?.("dialog");
    if (dialog && (event.target.closest("[data-close]") || event.target === dialog)) dialog.close();
  });

  // What an action said stands in the key bar for a while.
  document.addEventListener("plugward:said", (event) => {
    const text = event.detail?.value ?? "";
    const spot = document.getElementById("said-note");
    if (spot) {
      spot.textContent = text;
      setTimeout(() => spot.textContent === text && (spot.textContent = ""), 6000);
    }
  });

  // ── command palette ─────────────────────────────────────────────────────────────────────────
  const palette = () => document.getElementById("palette");
  document.addEventListener("plugward:palette", () => {
    const dialog = palette();
    if (!dialog) return;
    dialog.showModal();
    const input = dialog.querySelector("input");
    input.value = "";
    filter(dialog, "");
    input.focus();
  });
  const filter = (dialog, typed) => {
    const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
    let first = true;
    for (const entry of dialog.querySelectorAll("[data-command]")) {
      const text = `${entry.textContent} ${entry.dataset.command}`.toLowerCase();
      entry.hidden = !words.every((word) => text.includes(word));
      entry.classList.toggle("on", !entry.hidden && first);
      if (!entry.hidden) first = false;
    }
  };
  document.addEventListener("input", (event) => {
    if (palette()?.contains(event.target)) filter(palette(), event.target.value);
  });
  document.addEventListener("keydown", (event) => {
    const dialog = palette();
    if (!dialog?.open || event.isComposing) return;
    const entries = [...dialog.querySelectorAll("[data-command]:not([hidden])")];
    const at = entries.findIndex((entry) => entry.classList.contains("on"));
    if (event.key === "Enter" && at >= 0) {
      event.preventDefault();
      entries[at].click();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const to = Math.min(entries.length - 1, Math.max(0, at + (event.key === "ArrowDown" ? 1 : -1)));
      entries.forEach((entry, index) => entry.classList.toggle("on", index === to));
      entries[to]?.scrollIntoView({ block: "nearest" });
    }
  });

  // ── tabs: role=tab with aria-controls; arrow keys move, as assistive technology expects ──────
  const choose = (tab) => {
    for (const other of tab.closest("[role=tablist]").querySelectorAll("[role=tab]")) {
      const on = other === tab;
      other.setAttribute("aria-selected", String(on));
      other.classList.toggle("on", on);
      other.tabIndex = on ? 0 : -1;
      const panel = document.getElementById(other.getAttribute("aria-controls"));
      if (panel) panel.hidden = !on;
    }
  };
  document.addEventListener("click", (event) => {
    const tab = event.target.closest?.("[role=tab][aria-controls]");
    if (tab && tab.tagName !== "A") choose(tab);
  });
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.("[role=tab]");
    if (!tab || (event.key !== "ArrowRight" && event.key !== "ArrowLeft")) return;
    const tabs = [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")];
    const to = tabs[(tabs.indexOf(tab) + (event.key === "ArrowRight" ? 1 : tabs.length - 1)) % tabs.length];
    to.focus();
    if (to.tagName !== "A") choose(to);
  });

  // ── filters: [data-filter=group] buttons show the [data-in~=value] of that group ─────────────
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-filter]");
    if (!button) return;
    const { filter: group, value } = button.dataset;
    for (const other of document.querySelectorAll(`[data-filter="${CSS.escape(group)}"]`)) {
      other.classList.toggle("on", other === button);
      other.setAttribute("aria-pressed", String(other === button));
    }
    for (const row of document.querySelectorAll(`[data-group="${CSS.escape(group)}"]`)) {
      row.hidden = value !== "" && !row.dataset.in.split(" ").includes(value);
    }
  });

  // ── password eye, context drawer ─────────────────────────────────────────────────────────────
  document.addEventListener("click", (event) => {
    const eye = event.target.closest?.("[data-reveal]");
    if (eye) {
      const input = document.getElementById(eye.dataset.reveal);
      input.type = input.type === "password" ? "text" : "password";
      eye.setAttribute("aria-pressed", String(input.type === "text"));
    }
    const suggestion = event.target.closest?.("[data-fills]");
    if (suggestion) {
      // What is wrong in a field is put right by one key; the field then says no more about it.
      const field = document.querySelector(suggestion.dataset.fills);
      field.value = suggestion.dataset.value;
      field.removeAttribute("aria-invalid");
      document.getElementById(field.getAttribute("aria-describedby"))?.remove();
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    if (event.target.closest?.("[data-drawer]")) document.querySelector(".context")?.classList.toggle("open");
  });

  // ── lock: after five minutes without an act, or on the key; drafts are sealed first ──────────
  const idle_ms = Number(document.body?.dataset.idleMs || 0);
  let touched = Date.now();
  for (const kind of ["keydown", "pointerdown", "wheel"]) {
    addEventListener(kind, () => (touched = Date.now()), { passive: true });
  }
  const lock = () => {
    document.dispatchEvent(new CustomEvent("plugward:lock"));
    document.getElementById("lock-form")?.requestSubmit();
  };
  document.addEventListener("click", (event) => event.target.closest?.("[data-lock]") && lock());
  if (idle_ms > 0) setInterval(() => Date.now() - touched > idle_ms && lock(), 5000);
})();
