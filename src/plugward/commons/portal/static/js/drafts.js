// Drafts: nothing typed is lost. Text fields of `form[data-draft]` are sealed on this device as
// they are typed (AES-GCM with the person's key, which lives in the server's memory and this
// page's, never on the disk), and sent to the board within a second where it keeps drafts.
(() => {
  "use strict";
  const pause_ms = 800; // "saved within 1 s of a pause"
  const kept_days = 7;
  const prefix = "plugward.draft.";
  let key = null; // CryptoKey, not extractable

  const loadKey = async () => {
    if (key || !globalThis.crypto?.subtle) return key;
    const url = document.body.dataset.draftKey;
    if (!url) return null;
    const answer = await fetch(url, { method: "POST", headers: plugward.headers() });
    if (!answer.ok) return null;
    const raw = await answer.arrayBuffer();
    key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
    return key;
  };

  const slot = (form) =>
    prefix + [document.body.dataset.viewer, form.dataset.draft, form.dataset.draftSubject ?? ""].join("|");

  const fields = (form) =>
    [...form.elements].filter(
      (field) =>
        field.name && !field.name.startsWith("_") && !["password", "hidden", "file", "submit", "button"].includes(field.type),
    );
  const boxed = (field) => ["checkbox", "radio"].includes(field.type);
  const chosen = (field) => [...field.options].find((option) => option.defaultSelected)?.value ?? field.options[0]?.value ?? "";
  // What the server sent, whatever the browser put back into the fields by itself (Back, F5).
  const sent = (field) => (boxed(field) ? field.defaultChecked : field.options ? chosen(field) : field.defaultValue);
  const now = (field) => (boxed(field) ? field.checked : field.value);
  const read = (form, value = now) => {
    const found = {};
    for (const field of fields(form)) {
      if (field.type === "radio") {
        if (value(field)) found[field.name] = field.value;
      } else found[field.name] = value(field);
    }
    return found;
  };
  const write = (form, saved) => {
    for (const field of fields(form)) {
      if (!(field.name in saved)) continue;
      if (field.type === "radio") field.checked = field.value === saved[field.name];
      else if (field.type === "checkbox") field.checked = saved[field.name];
      else field.value = saved[field.name];
      field.dispatchEvent(new Event("change", { bubbles: true }));
    }
  };

  const b64 = (bytes) => btoa(Array.from(new Uint8Array(bytes), (b) => String.fromCharCode(b)).join(""));
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  const seal = async (name, content) => {
    if (!(await loadKey())) return false;
    const nonce = crypto.getRandomValues(new Uint8Array(12));
    const plain = new TextEncoder().encode(JSON.stringify(content));
    // The name is authenticated: a draft copied under another patient's name does not open.
    const options = { name: "AES-GCM", iv: nonce, additionalData: new TextEncoder().encode(name) };
    const sealed = await crypto.subtle.encrypt(options, key, plain);
    localStorage.setItem(name, `${b64(nonce)}.${b64(sealed)}`);
    return true;
  };
  const open = async (name) => {
    const text = localStorage.getItem(name);
    if (!text || !(await loadKey())) return null;
    const [nonce, sealed] = text.split(".").map(bytes);
    const options = { name: "AES-GCM", iv: nonce, additionalData: new TextEncoder().encode(name) };
    try {
      return JSON.parse(new TextDecoder().decode(await crypto.subtle.decrypt(options, key, sealed)));
    } catch {
      localStorage.removeItem(name); // sealed with a key that is gone: nobody can read it
      return null;
    }
  };

  // ── saving ────────────────────────────────────────────────────────────────────────────────
  const states = new WeakMap();
  const stateOf = (form) => {
    if (!states.has(form)) {
      states.set(form, { clean: JSON.stringify(read(form, sent)), sealing: false, again: false, timer: 0, sent: "", cleared: false });
    }
    return states.get(form);
  };

  const sealNow = async (form) => {
    const state = stateOf(form);
    if (state.sealing) {
      state.again = true; // typed while sealing: once more afterwards
      return;
    }
    state.sealing = true;
    try {
      do {
        state.again = false;
        const content = read(form);
        const text = JSON.stringify(content);
        if (state.cleared) break;
        if (text === state.clean) localStorage.removeItem(slot(form));
        else await seal(slot(form), { at: Date.now() + plugward.offset_ms, version: form.dataset.draftVersion ?? "", fields: content });
      } while (state.again);
    } finally {
      state.sealing = false;
    }
  };

  const send = (form, leaving) => {
    const state = stateOf(form);
    const url = form.dataset.draftUrl;
    const text = JSON.stringify(read(form));
    if (!url || state.cleared || text === state.clean || text === state.sent) return;
    state.sent = text;
    const body = new URLSearchParams();
    for (const [name, content] of Object.entries(JSON.parse(text))) body.set(name, content === true ? "on" : content || "");
    fetch(url, { method: "POST", body, keepalive: leaving, headers: plugward.headers() })
      .then((answer) => (answer.ok ? shown(form, true) : Promise.reject(new Error(answer.status))))
      .catch(() => {
        state.sent = ""; // the sealed copy on this device stays; try again at the next pause
        shown(form, false);
      });
  };

  const shown = (form, everywhere) => {
    const note = document.getElementById("draft-note");
    if (!note) return;
    const time = new Date(Date.now() + plugward.offset_ms).toLocaleTimeString("zh-CN", { hour12: false, timeZone: plugward.meta("zone") || undefined });
    const words = plugward.words;
    note.textContent = `${everywhere ? words.draft_saved : words.draft_sealed} ${time}`;
  };

  const save = async (form, leaving = false) => {
    clearTimeout(stateOf(form).timer);
    send(form, leaving);
    await sealNow(form);
    if (!form.dataset.draftUrl && !leaving) shown(form, false);
  };

  document.addEventListener("input", (event) => {
    const form = event.target.closest?.("form[data-draft]");
    if (!form) return;
    const state = stateOf(form);
    state.cleared = false;
    sealNow(form);
    clearTimeout(state.timer);
    state.timer = setTimeout(() => save(form), pause_ms);
  });
  document.addEventListener("focusout", (event) => {
    const form = event.target.closest?.("form[data-draft]");
    if (form) save(form);
  });
  const saveAll = (leaving) => {
    for (const form of document.querySelectorAll("form[data-draft]")) save(form, leaving);
  };
  addEventListener("pagehide", () => saveAll(true));
  document.addEventListener("visibilitychange", () => document.hidden && saveAll(true));
  document.addEventListener("plugward:save", () => saveAll(false));
  document.addEventListener("plugward:lock", () => saveAll(true));
  // The panel with the form is about to be replaced (another patient): save it first.
  document.addEventListener("htmx:beforeSwap", (event) => {
    for (const form of event.detail.target?.querySelectorAll?.("form[data-draft]") ?? []) save(form, true);
  });

  const clear = (form) => {
    const state = stateOf(form);
    clearTimeout(state.timer);
    state.cleared = true;
    state.clean = JSON.stringify(read(form));
    localStorage.removeItem(slot(form));
  };
  // The act went through: the draft has become a record.
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = event.detail.elt.closest?.("form[data-draft]");
    if (form && event.detail.successful && form === event.detail.elt) clear(form);
  });

  // ── recovering ────────────────────────────────────────────────────────────────────────────
  const word = (template, values) => template.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

  const difference = (form, saved) => {
    const rows = [];
    let more = 0;
    for (const [name, content] of Object.entries(saved)) {
      const field = form.elements[name];
      if (!field) continue;
      const now = field.type === "checkbox" ? field.checked : field.value;
      if (now === content) continue;
      const label = field.labels?.[0]?.textContent?.trim() || field.getAttribute?.("aria-label") || name;
      more += String(content).length - String(now).length;
      rows.push({ label, mine: String(content), theirs: String(now) });
    }
    return { rows, more };
  };

  const offer = (form, draft) => {
    const changed = difference(form, draft.fields);
    if (JSON.stringify(draft.fields) === stateOf(form).clean) return clear(form); // saved meanwhile
    if (changed.rows.length === 0) return undefined; // the browser has put it back already: keep it sealed
    const shape = document.getElementById("recovered-draft");
    if (!shape) return undefined;
    const box = shape.content.firstElementChild.cloneNode(true);
    const time = new Date(draft.at).toLocaleString("zh-CN", { month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false, timeZone: plugward.meta("zone") || undefined });
    const title = form.dataset.draftTitle ?? "";
    box.querySelector("[data-title]").textContent = word(plugward.words.recovered_title, { time, title });
    const hint = word(plugward.words.recovered_hint, { fields: changed.rows.length, letters: Math.abs(changed.more) });
    const older = draft.version !== (form.dataset.draftVersion ?? "");
    box.querySelector("[data-hint]").textContent = older ? `${hint} ${plugward.words.recovered_older}` : hint;
    const table = box.querySelector("tbody");
    for (const row of changed.rows) {
      const line = table.insertRow();
      for (const text of [row.label, row.mine, row.theirs]) line.insertCell().textContent = text || "—";
    }
    box.addEventListener("click", (event) => {
      const choice = event.target.closest("button")?.dataset.choice;
      if (choice === "restore") {
        write(form, draft.fields);
        box.remove();
        fields(form)[0]?.focus();
        save(form);
      } else if (choice === "show") box.querySelector("[data-difference]").toggleAttribute("hidden");
      else if (choice === "drop") {
        clear(form);
        box.remove();
      }
    });
    form.prepend(box);
    return plugward.say(box.querySelector("[data-title]").textContent);
  };

  const look = async (root) => {
    const forms = root.matches?.("form[data-draft]") ? [root] : [...(root.querySelectorAll?.("form[data-draft]") ?? [])];
    for (const form of forms) {
      stateOf(form);
      if (localStorage.getItem(slot(form)) === null) continue;
      const draft = await open(slot(form));
      if (draft && Date.now() - draft.at < kept_days * 86_400_000) offer(form, draft);
      else if (draft) localStorage.removeItem(slot(form));
    }
  };
  document.addEventListener("htmx:load", (event) => look(event.detail.elt));
  document.addEventListener("DOMContentLoaded", () => {
    // The key is fetched while nobody waits for it, so that the first letter is sealed at once.
    if (document.body.dataset.draftKey && document.querySelector("form[data-draft]")) loadKey();
  });

  plugward.drafts = { saveAll };
})();
