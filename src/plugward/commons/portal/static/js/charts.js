// Charts: options are data in the page, colours come from the tokens, the table view says the same
// to those who cannot see the drawing. The library is fetched only where a chart is.
(() => {
  "use strict";
  let library = null;
  const drawn = new Map();
  const load = (source) =>
    (library ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = source;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    }));

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const theme = () => {
    const line = { lineStyle: { color: token("--line") } };
    const axis = { axisLine: line, axisTick: { show: false }, splitLine: line, axisLabel: { color: token("--ink-2"), fontSize: size() }, nameTextStyle: { color: token("--ink-2") } };
    return {
      color: ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"].map(token),
      textStyle: { fontFamily: token("--font"), color: token("--ink"), fontSize: size() },
      categoryAxis: { ...axis, splitLine: { show: false } },
      valueAxis: axis,
      timeAxis: axis,
      legend: { textStyle: { color: token("--ink-2"), fontSize: size() } },
    };
  };
  const size = () => (document.documentElement.dataset.theme === "dark" && innerWidth >= 1900 ? 14 : 12);

  // Colours in options are written as token names ("--c3"): boards never write a raw colour.
  const colours = (value) => {
    if (typeof value === "string") return value.startsWith("--") ? token(value) : value;
    if (Array.isArray(value)) return value.map(colours);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, colours(inner)]));
    }
    return value;
  };

  const draw = async (figure) => {
    const option = colours(JSON.parse(figure.querySelector("script[data-option]").textContent));
    const canvas = figure.querySelector("[data-canvas]");
    await load(figure.dataset.library);
    if (!figure.isConnected) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const chart = echarts.init(canvas, theme(), { renderer: "canvas" });
    // Tooltips as rich text: as HTML they would carry style attributes, which the page forbids.
    const tooltip = { confine: true, ...option.tooltip, renderMode: "richText" };
    chart.setOption({ animation: !still, animationDuration: 160, ...option, tooltip });
    drawn.set(figure, chart);
    figure.dataset.drawn = "yes";
  };

  const look = (root) => {
    for (const [figure, chart] of drawn) {
      if (!figure.isConnected) {
        chart.dispose();
        drawn.delete(figure);
      }
    }
    const found = root.matches?.("[data-chart]") ? [root] : [...(root.querySelectorAll?.("[data-chart]") ?? [])];
    for (const figure of found) if (!drawn.has(figure) && !figure.dataset.drawn) draw(figure);
  };
  document.addEventListener("htmx:load", (event) => look(event.detail.elt));
  addEventListener("resize", () => {
    for (const chart of drawn.values()) chart.resize();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-chart-table]");
    if (!button) return;
    const figure = button.closest("[data-chart]") ?? document.getElementById(button.dataset.chartTable);
    const table = figure.querySelector("[data-table]");
    const shown = table.toggleAttribute("hidden");
    figure.querySelector("[data-canvas]").toggleAttribute("hidden", !shown);
    button.setAttribute("aria-pressed", String(!shown));
  });
})();
