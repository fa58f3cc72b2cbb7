// Combo: a search field with a list of hits. The focus stays in the field; Down and Up walk the
// hits, Enter takes the marked one, Esc puts the list away. Nothing happens while composing.
(() => {
  "use strict";
  const listOf = (input) => document.querySelector(input.dataset.combo);
  const optionsOf = (list) => [...(list?.querySelectorAll("[data-option]") ?? [])];

  const mark = (input, options, to) => {
    options.forEach((option, index) => {
      const on = index === to;
      option.classList.toggle("on", on);
      option.setAttribute("aria-selected", String(on));
      if (on) {
        option.id ||= `${input.id || input.name}-hit-${index}`;
        input.setAttribute("aria-activedescendant", option.id);
        option.scrollIntoView({ block: "nearest" });
      }
    });
    if (to < 0) input.removeAttribute("aria-activedescendant");
  };
  const empty = (input) => {
    listOf(input)?.replaceChildren();
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  document.addEventListener(
    "keydown",
    (event) => {
      const input = event.target.closest?.("[data-combo]");
      if (!input || event.isComposing || event.keyCode === 229 || event.ctrlKey || event.altKey) return;
      const options = optionsOf(listOf(input));
      if (options.length === 0) return;
      const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        const to = event.key === "ArrowDown" ? Math.min(options.length - 1, at + 1) : Math.max(0, at - 1);
        mark(input, options, to);
      } else if (event.key === "Enter" && at >= 0) options[at].click();
      else if (event.key === "Escape") empty(input);
      else return;
      event.preventDefault();
      event.stopPropagation(); // before the page's own keys
    },
    true,
  );

  document.addEventListener("focusout", (event) => {
    const input = event.target.closest?.("[data-combo]");
    if (input) setTimeout(() => document.activeElement !== input && empty(input), 150);
  });
  document.addEventListener("pointerdown", (event) => {
    // A click on a hit must not take the focus away before it is a click.
    if (event.target.closest?.("[data-option]")) event.preventDefault();
  });
  const prepare = (root) => {
    const found = root.matches?.("[data-combo]") ? [root] : (root.querySelectorAll?.("[data-combo]") ?? []);
    for (const input of found) {
      input.setAttribute("role", "combobox");
      input.setAttribute("aria-autocomplete", "list");
      input.setAttribute("aria-controls", input.dataset.combo.slice(1));
      input.setAttribute("aria-expanded", String(optionsOf(listOf(input)).length > 0));
    }
  };
  document.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
  document.addEventListener("htmx:afterSettle", (event) => {
    const id = event.detail.target?.id;
    const input = id && document.querySelector(`[data-combo="#${CSS.escape(id)}"]`);
    if (input) input.setAttribute("aria-expanded", String(optionsOf(listOf(input)).length > 0));
  });
})();
