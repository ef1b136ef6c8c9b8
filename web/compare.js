// Two videos as one, whose frames have a picture of both.

/** PSNR of equal samples, as `nvrc-ref compare` has it. */
const EXACT = 100;

function describe({ width, height }) {
  return `${width}x${height}`;
}

export class Pair {
  /**
   * @param {NvrcVideo} a what times, GOPs and presentation are taken from
   * @param {NvrcVideo} b
   * @param {string[]} names of both
   */
  constructor(a, b, names) {
    if (a.width !== b.width || a.height !== b.height) {
      throw new Error(
        `${names[0]} is ${describe(a)}, ${names[1]} is ${describe(b)}: only videos of the same size are compared`,
      );
    }
    this.videos = [a, b];
    this.names = names;
    this.width = a.width;
    this.height = a.height;
    this.times = a.times;
    this.frameCount = Math.min(a.frameCount, b.frameCount);
  }

  /** A sentence about the frames that are not shown; "" where there are none. */
  get note() {
    const longer = this.videos.findIndex((video) => video.frameCount > this.frameCount);
    if (longer < 0) return "";
    return `${this.names[longer]} has ${this.videos[longer].frameCount} frames: the first ${this.frameCount} are shown`;
  }

  /** Of both videos; an error has the name of its file. */
  both(call) {
    const fail = (error, i) => Promise.reject(Object.assign(error, { file: this.names[i] }));
    return Promise.all(this.videos.map((video, i) => call(video).catch((error) => fail(error, i))));
  }

  /** Frame n of the first video, whose `other` is that of the second one. */
  async frame(n, options) {
    const [frame, other] = await this.both((video) => video.frame(n, options));
    return Object.assign(frame, { other });
  }

  /** Checks the digests of videos that end here. */
  async finish() {
    await this.both(async (video) => (video.frameCount === this.frameCount ? video.finish() : undefined));
  }

  close() {
    for (const video of this.videos) video.close();
  }
}

/** PSNR of luma of two frames of `bitDepth` bits, in dB. */
export function lumaPsnr(a, b, bitDepth) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum ? 10 * Math.log10(((2 ** bitDepth - 1) ** 2 * a.length) / sum) : EXACT;
}
