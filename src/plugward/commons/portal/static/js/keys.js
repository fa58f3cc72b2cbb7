// Keys: one declared list gives the key bar, the F1 sheet and these handlers.
(() => {
  "use strict";
  const list = JSON.parse(document.getElementById("page-keys")?.textContent || "[]");
  const table = new Map(list.filter((k) => k.target || k.href || k.builtin).map((k) => [k.key, k]));
  const names = { Escape: "Esc", " ": "Space", ArrowUp: "Up", ArrowDown: "Down", ArrowLeft: "Left", ArrowRight: "Right" };

  const chord = (event) => {
    // With Alt some layouts print another character, so letters and digits come from the key cap.
    const cap = /^(?:Key|Digit)(.)$/.exec(event.code)?.[1];
    const plain = names[event.key] ?? (event.key.length === 1 ? event.key.toUpperCase() : event.key);
    const key = (event.altKey || event.ctrlKey) && cap ? cap : plain;
    const shift = event.shiftKey && key.length > 1 ? "Shift+" : "";
    return (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (event.altKey ? "Alt+" : "") + shift + key;
  };

  const isField = (element) =>
    element?.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element?.tagName);
  const isTyping = (element) =>
    isField(element) && !["checkbox", "radio", "button", "submit"].includes(element.type);

  const visible = (element) => element.offsetParent !== null || element.tagName === "BODY";

  const builtins = {
    sheet: () => document.getElementById("key-sheet")?.showModal(),
    palette: () => document.dispatchEvent(new CustomEvent("plugward:palette")),
    save: () => document.dispatchEvent(new CustomEvent("plugward:save")),
    back: () => {
      // One level back; what was typed stays.
      if (isField(document.activeElement)) document.activeElement.blur();
      else document.dispatchEvent(new CustomEvent("plugward:back"));
    },
    next: () => step(1),
    previous: () => step(-1),
  };

  const step = (by) => {
    const rows = [...document.querySelectorAll("[data-list] [data-row]")].filter(visible);
    if (rows.length === 0) return;
    const focused = rows.findIndex((row) => row.contains(document.activeElement));
    const marked = rows.findIndex((row) => row.matches(".on,[aria-current],[aria-selected=true]"));
    const from = focused >= 0 ? focused : marked;
    const to = rows[Math.min(rows.length - 1, Math.max(0, from + by))];
    const focusable = "a,button,input:not([type=hidden]),[tabindex]";
    (to.matches(focusable) ? to : to.querySelector(focusable))?.focus();
  };

  const act = (entry) => {
    if (entry.builtin) return builtins[entry.builtin]?.();
    if (entry.href) return location.assign(entry.href);
    const found = [...document.querySelectorAll(entry.target)].filter(visible);
    // In a list the key acts on the row somebody stands in, else on the first.
    const row = document.activeElement?.closest?.("[data-row]");
    const target = found.find((one) => row?.contains(one)) ?? found[0];
    if (!target) return plugward.say(plugward.words.key_not_here ?? "");
    if (target.disabled || target.getAttribute("aria-disabled") === "true") {
      return plugward.say(target.dataset.reason || plugward.words.key_disabled || "");
    }
    if (isTyping(target)) {
      target.focus();
      return target.select?.();
    }
    return target.click();
  };

  document.addEventListener("keydown", (event) => {
    // An input method is composing: the key belongs to it (229 is what older engines report).
    if (event.isComposing || event.keyCode === 229 || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return; // Esc closes it natively
    const pressed = chord(event);
    const entry = table.get(pressed);
    if (!entry) return;
    const single = pressed.length === 1 || ["Space", "Enter", "Up", "Down", "Left", "Right"].includes(pressed);
    const active = document.activeElement;
    // An empty field that only ever takes digits lets the keys it names pass.
    const passes = active?.value === "" && active.dataset.passes?.split(" ").includes(pressed);
    if (single && !passes && (isTyping(active) || event.altKey || event.ctrlKey)) return;
    if (["Space", "Enter"].includes(pressed) && !passes && active !== document.body) return;
    event.preventDefault();
    if (event.repeat && !["next", "previous"].includes(entry.builtin)) return; // one press, one act
    act(entry);
  });

  document.addEventListener("click", (event) => {
    const key = event.target.closest?.("[data-key]")?.dataset.key;
    if (key && table.has(key)) act(table.get(key));
  });
})();
