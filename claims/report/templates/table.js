// Search and filters of the table of claims. What is chosen stands in the address, so that a
// filtered view can be linked. Without this script the page shows all claims.
"use strict";
(() => {
  const form = document.getElementById("filters");
  const shown = document.getElementById("shown");
  const rows = Array.from(document.querySelectorAll("#claims tbody tr"), (row) => ({
    row,
    text: `${row.textContent} ${row.id}`.toLowerCase(),
    data: row.dataset,
    cites: row.lastElementChild.textContent.split(" ").map((cite) => {
      const [key, place] = cite.split(":");
      const [first, last = first] = place.split("-").map(Number);
      return { key, first, last };
    }),
  }));

  // Whether a place such as 004:43 lies in lines that are cited, such as 004:40-45.
  function covered(place, cites) {
    const [, key, line] = place.match(/^([^:]+):([0-9]+)$/) ?? [];
    return cites.some((cite) => cite.key === key && cite.first <= line && line <= cite.last);
  }

  function apply() {
    const words = form.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = Array.from(form.querySelectorAll("select")).filter((select) => select.value);
    let count = 0;
    for (const { row, text, data, cites } of rows) {
      const fits = words.every((word) => text.includes(word) || covered(word, cites))
        && wanted.every(({ name, value }) => (name === "document"
          ? cites.some(({ key }) => key === value) : data[name] === value));
      if (row.hidden === fits) row.hidden = !fits;
      count += fits;
    }
    shown.textContent = count === rows.length ? `${count} claims`
      : `${count} of ${rows.length} claims`;
  }

  function remember() {
    const chosen = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) chosen.set(name, value);
    history.replaceState(null, "", `${location.pathname}${chosen.size ? `?${chosen}` : ""}`);
    apply();
  }

  const asked = new URLSearchParams(location.search);
  for (const control of form.querySelectorAll("[name]")) {
    control.value = asked.get(control.name) ?? "";
    if (control.selectedIndex === -1) control.value = ""; // it has no such option
  }
  form.hidden = false;
  form.addEventListener("input", remember);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(remember));
  apply();
})();
