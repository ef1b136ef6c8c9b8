// Plays a video in time: frames are decoded ahead, and shown when they are due. Where decoding is slower than the
// video, it plays slower and leaves out no frame; where the screen is slower, the frames between are dropped.

/** Frames decoded ahead; fewer of them where frames are large. */
const AHEAD = 8;
const AHEAD_PIXELS = 16_000_000;
/** Frames that the decoder is asked for at a time: a seek waits for them. */
const IN_FLIGHT = 2;
/** A frame that is due by this much, in seconds, is shown now: half of what a screen of 60 Hz takes. */
const EARLY = 0.008;
/** Where a frame is later than this, because decoding is slow or the page slept, the clock waits for it. */
const LATE = 0.1;
/** Time over which the frames shown a second are counted, in ms. */
const SPEED_WINDOW = 1000;

export class Playback {
  /**
   * @param {NvrcVideo} video
   * @param {{show: function(object), state: function(), error: function(Error)}} events
   */
  constructor(video, events) {
    this.video = video;
    this.events = events;
    this.ahead = Math.max(2, Math.min(AHEAD, Math.floor(AHEAD_PIXELS / (video.width * video.height))));
    this.playing = false;
    this.loop = false;
    this.current = 0; // the frame that is shown
    this.target = 0; // the frame that the last seek asked for
    this.shown = 0;
    this.dropped = 0;
    this.lastShown = 0; // when the frame that is shown was, in ms
    this.shownAt = []; // the same, of all frames within SPEED_WINDOW
    this.queue = []; // frames that are decoded, in order
    this.asked = 0; // frames that were asked for and have not come
    this.fault = null; // what comes after the queue, if that is an error
    this.turn = 0; // counts seeks: what was asked for before one is not taken
    this.due = null; // when the first frame of the queue is shown, in seconds; null: it is to be found out
    this.rate = 1;
    this.seeking = null;
  }

  /** The frame that is shown, or is going to be. */
  get position() {
    return this.seeking ? this.target : this.current;
  }

  get speed() {
    return this.rate;
  }

  set speed(rate) {
    this.rate = rate;
    this.due = null;
  }

  /** Shows a frame. Of seeks that come while one is at work, only the last is done. */
  seek(n) {
    this.target = Math.max(0, Math.min(n, this.video.frameCount - 1));
    this.restart(this.target);
    this.seeking ??= this.seekUntilDone().finally(() => {
      this.seeking = null;
      if (!this.closed) this.fill();
    });
    return this.seeking;
  }

  async seekUntilDone() {
    let target = null;
    while (target !== this.target && !this.closed) {
      target = this.target;
      try {
        const frame = await this.video.frame(target, { rgba: true });
        if (!this.closed) this.present(frame);
        if (target === this.target) this.restart(target + 1);
      } catch (error) {
        this.fail(error);
      }
    }
  }

  step(by) {
    this.pause();
    return this.seek(this.position + by);
  }

  /** Forgets the frames ahead: the next one is n. */
  restart(n) {
    this.turn++;
    this.queue = [];
    this.asked = 0;
    this.fault = null;
    this.wanted = n;
    this.due = null;
  }

  play() {
    if (this.playing) return;
    this.playing = true;
    this.shownAt = [];
    if (this.current === this.video.frameCount - 1) this.seek(0);
    else if (!this.seeking) this.fill();
    this.events.state();
    this.tickAtRefresh();
  }

  /** Ticks at the next refresh of the screen. `pause` and `close` cancel that, so that ticks never run twice. */
  tickAtRefresh() {
    this.refresh = requestAnimationFrame((now) => this.tick(now));
  }

  pause() {
    cancelAnimationFrame(this.refresh);
    this.playing = false;
    this.due = null;
    this.events.state();
  }

  /** Asks for frames until enough are on their way. */
  fill() {
    const { frameCount } = this.video;
    const room = () => this.asked < IN_FLIGHT && this.queue.length + this.asked < this.ahead;
    while (this.playing && !this.seeking && !this.fault && room()) {
      if (this.wanted > frameCount) {
        if (!this.loop) return;
        this.wanted = 0;
      }
      // What comes after the last frame is its digest.
      const n = this.wanted++;
      this.take(n < frameCount ? this.video.frame(n, { rgba: true }) : this.video.finish());
    }
  }

  /** Waits for a frame, or for undefined at the end. */
  async take(promise) {
    const { turn } = this;
    this.asked++;
    let frame;
    let fault = null;
    try {
      frame = await promise;
    } catch (error) {
      fault = error;
    }
    if (turn !== this.turn || this.closed) return;
    this.asked--;
    this.fault ??= fault;
    if (frame && !this.fault) this.queue.push(frame); // frames behind a fault are not shown
    this.fill();
  }

  fail(error) {
    if (this.closed) return;
    this.restart(this.current + 1);
    this.pause();
    this.events.error(error);
  }

  present(frame) {
    this.current = frame.index;
    this.shown++;
    this.lastShown = performance.now();
    this.shownAt.push(this.lastShown);
    this.events.show(frame);
  }

  tick(now) {
    this.tickAtRefresh();
    if (this.seeking) return;
    this.showDue(now / 1000);
    this.fill();
    if (this.queue.length || this.asked) return;
    if (this.fault) this.fail(this.fault);
    else if (!this.loop) this.pause();
  }

  /** Shows the last frame that is due. */
  showDue(now) {
    if (this.due !== null && now - this.due > LATE) this.due = null;
    if (!this.queue.length) return;
    this.due ??= Math.max(now, this.lastShown / 1000 + this.lasts(this.current));
    let frame = null;
    while (this.queue.length && this.due <= now + EARLY) {
      if (frame) this.dropped++;
      frame = this.queue.shift();
      this.due += this.lasts(frame.index);
    }
    if (frame) this.present(frame);
  }

  /** Frames shown a second, of late; 0 where too few were shown. `now` is in ms. */
  framesPerSecond(now) {
    this.shownAt = this.shownAt.filter((time) => now - time < SPEED_WINDOW);
    const span = this.shownAt.at(-1) - this.shownAt[0];
    return span > 0 ? (1000 * (this.shownAt.length - 1)) / span : 0;
  }

  /** How long a frame is shown, in seconds. */
  lasts(n) {
    return this.video.times.duration(n) / this.rate;
  }

  close() {
    this.closed = true;
    this.playing = false;
    cancelAnimationFrame(this.refresh);
    this.video.close();
  }
}
