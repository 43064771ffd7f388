// Position in the recording, and its sound where the page has it.

class Player {
  constructor(audio, duration, source) {
    this.audio = audio;
    this.duration = duration;
    this.position = 0;
    this.listeners = [];
    this.silent = source.mode === "none";
    this.pending = null;
    if (this.silent) return;
    audio.addEventListener("loadedmetadata", () => {
      if (this.pending !== null) audio.currentTime = this.pending;
      this.pending = null;
    });
    for (const name of ["play", "pause", "seeked", "ended", "ratechange"]) {
      audio.addEventListener(name, () => this.changed());
    }
    audio.addEventListener("error", () => this.failed());
    if (source.mode === "link") {
      audio.src = source.url;
    } else {
      // Its text follows this script, so that the page is drawn before it is read.
      document.addEventListener("DOMContentLoaded", () => this.unpack(byId("sound")));
    }
  }

  unpack(holder) {
    const text = holder.textContent.trim();
    const step = 1 << 20; // characters, a multiple of 4
    const parts = [];
    for (let i = 0; i < text.length; i += step) parts.push(bytesOf(text.slice(i, i + step)));
    holder.remove();
    this.audio.src = URL.createObjectURL(new Blob(parts, { type: "audio/ogg" }));
  }

  failed() {
    const reason = this.audio.error && this.audio.error.message;
    this.problem = `The browser cannot play the sound${reason ? ` (${reason})` : ""}.`;
    this.changed();
  }

  onchange(listener) {
    this.listeners.push(listener);
  }

  changed() {
    for (const listener of this.listeners) listener();
  }

  get playing() {
    return !this.silent && !this.audio.paused && !this.audio.ended;
  }

  get time() {
    if (this.silent || this.pending !== null) return this.position;
    // Before the sound is there, its time is 0.
    return this.audio.readyState ? Math.min(this.audio.currentTime, this.duration) : this.position;
  }

  seek(time) {
    this.position = clamp(time, 0, this.duration);
    if (!this.silent) {
      if (this.audio.readyState) this.audio.currentTime = this.position;
      else this.pending = this.position;
    }
    this.changed();
  }

  play() {
    if (this.silent) return;
    const started = this.audio.play();
    if (started) {
      started.catch((error) => {
        if (error.name === "AbortError") return;
        if (!this.problem) this.problem = `The browser does not play: ${error.message}`;
        this.changed();
      });
    }
  }

  toggle() {
    if (this.playing) this.audio.pause();
    else this.play();
  }
}
