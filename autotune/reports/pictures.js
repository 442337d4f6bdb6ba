// Draws the pictures.
const specs = JSON.parse(document.getElementById("specs").textContent);
const config = {
  background: null,
  font: "system-ui, sans-serif",
  legend: { orient: "top", title: null, columns: 4, labelLimit: 0 },
  view: { stroke: null },
};
const options = { mode: "vega-lite", renderer: "svg", actions: false, config };

const views = [];
for (const box of document.querySelectorAll("[data-chart]")) {
  const { view } = await vegaEmbed(box, specs[box.dataset.chart], options);
  if (specs[box.dataset.chart].params?.some(({ name }) => name === "shown")) views.push(view);
}
// The policy that is chosen below one picture is shown in all.
for (const view of views) {
  view.addSignalListener("shown", (_, policy) => {
    for (const other of views) {
      if (other !== view && other.signal("shown") !== policy) other.signal("shown", policy).run();
    }
  });
}
document.body.dataset.drawn = "yes";
