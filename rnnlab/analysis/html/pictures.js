// The runs in the pictures: pointing at a mark, or clicking it, has the same effect as for its row in the table.
(() => {
  const REACH = [0, 2, 4, 6];  // CSS pixels: a line is too thin to hit exactly
  const marks = new Map();  // by job

  function runAt(event) {
    for (const away of REACH) {
      for (let turn = 0; turn < 2 * Math.PI; turn += Math.PI / 4) {
        const [x, y] = [event.clientX + away * Math.cos(turn), event.clientY + away * Math.sin(turn)];
        const mark = document.elementFromPoint(x, y)?.closest(".picture [data-job]");
        if (mark) return runs.ofJob.get(mark.dataset.job);
      }
    }
    return null;
  }

  for (const mark of document.querySelectorAll(".picture [data-job]")) {
    if (!marks.has(mark.dataset.job)) marks.set(mark.dataset.job, []);
    marks.get(mark.dataset.job).push(mark);
  }
  for (const picture of document.querySelectorAll(".picture svg")) {
    const isRight = (event) => event.clientX > innerWidth / 2;
    picture.addEventListener("mousemove", (event) => runs.point(runAt(event), isRight(event)));
    picture.addEventListener("mouseleave", () => runs.point(null));
    picture.addEventListener("click", (event) => runs.choose(runAt(event), isRight(event)));
  }
  document.addEventListener("run-shown", (event) => {
    for (const mark of marks.get(event.detail) || []) mark.classList.add("shown");
  });
  document.addEventListener("run-hidden", () => {
    for (const mark of document.querySelectorAll(".picture .shown")) mark.classList.remove("shown");
  });
})();
