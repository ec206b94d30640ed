// Liveness of the table: indicator, notice, and ages that are updated while visible.

const AGE_EVERY = 10000;
const SINCE_EVERY = 1000;
const NOT_LIVE = ["stale", "lost", "failed"];

const Live = {
  showLive({ state, since, message, hint, problem }) {
    const before = this.state.state;
    this.state = { state, since, message, hint, problem };
    drawSign(
      this.liveSign,
      { live: "running", connecting: "starting", stale: "unknown" }[state] ??
        "error",
    );
    this.live.dataset.state = state;
    this.live.title =
      message ||
      (state === "live"
        ? "The table shows the current state of the cluster."
        : "");
    const shown = NOT_LIVE.includes(state) ? message : problem;
    this.notice.hidden = !shown;
    this.notice.dataset.state = state;
    setText(this.noticeText, shown ?? "");
    setText(this.noticeHint, (shown === message && hint) || "");
    this.retry.hidden =
      !["lost", "failed"].includes(state) || Boolean(this.dead);
    this.root.classList.toggle("cw-notLive", NOT_LIVE.includes(state));
    this.drawLive();
    this.drawCount();
    if (
      before &&
      before !== state &&
      (NOT_LIVE.includes(state) || NOT_LIVE.includes(before))
    ) {
      this.say(
        state === "live"
          ? "Live again"
          : `${this.liveWord.textContent}. ${message ?? ""}`,
      );
    }
    clearInterval(this.counting);
    this.counting = NOT_LIVE.includes(state)
      ? setInterval(() => document.hidden || this.drawLive(), SINCE_EVERY)
      : 0;
  },

  drawLive() {
    const { state, since } = this.state;
    const ago = since ? ` since ${span(this.now() - since)}` : "";
    setText(
      this.liveWord,
      {
        live: "live",
        connecting: "connecting",
        stale: `not live${ago}`,
        lost: `not live${ago}`,
        failed: "not connected",
      }[state] ?? "",
    );
  },

  commChanged() {
    // A comm only changes from live to closed; a new comm has a new model.
    this.dead = true;
    (this.el.closest(".jp-ClusterWorkspacesPanel") ?? this.root).classList.add(
      "cw-dead",
    );
    this.showLive({
      state: "lost",
      since: this.now(),
      message: "The kernel of this panel has stopped.",
      hint: "Run the cell again.",
    });
  },

  /** Update ages of visible rows, and of others when they become visible. */
  startTicking(signal) {
    this.seen = new Set();
    this.observer = new IntersectionObserver((changes) => {
      for (const { target, isIntersecting } of changes) {
        if (!isIntersecting) {
          this.seen.delete(target);
        } else if (target.isConnected) {
          this.seen.add(target);
          target.row.drawTimes();
        }
      }
    });
    this.resizing = new ResizeObserver(() => this.measureSoon());
    this.resizing.observe(this.root);
    this.ticking = setInterval(() => this.tick(), AGE_EVERY);
    document.addEventListener("visibilitychange", () => this.tick(), {
      signal,
    });
  },

  stopTicking() {
    this.observer.disconnect();
    this.resizing.disconnect();
    clearInterval(this.ticking);
    clearInterval(this.counting);
  },

  tick() {
    if (!document.hidden) {
      this.seen.forEach((entry) => entry.row.drawTimes());
      this.drawLive();
    }
  },
};
