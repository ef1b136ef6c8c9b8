// The canvas of the player: pixels, turned as the stream asks, in the shape that its samples have. Of two pictures, the
// first one is left of a split, and the second one right of it.

/** (x, y) is shown at (a x + c y, b x + d y), y down, up to a translation; spec 3.6.1. */
function matrixOf({ degrees, flip }) {
  const [cosine, sine] = { 0: [1, 0], 90: [0, 1], 180: [-1, 0], 270: [0, -1] }[degrees];
  const mirror = flip ? -1 : 1;
  return [mirror * cosine, -mirror * sine, sine, cosine];
}

export class Screen {
  constructor(canvas) {
    this.canvas = canvas;
    this.pictures = [document.createElement("canvas"), document.createElement("canvas")];
  }

  /** Prepares for the frames of a video; the split is in the middle. Returns width over height of the picture. */
  fit({ width, height, presentation }) {
    const [a, b, c, d] = matrixOf(presentation.orientation ?? { degrees: 0, flip: false });
    const sideways = a === 0;
    const aspect = presentation.sampleAspect ?? { width: 1, height: 1 };
    const shape = (width * aspect.width) / (height * aspect.height);
    for (const picture of this.pictures) Object.assign(picture, { width, height });
    Object.assign(this.canvas, sideways ? { width: height, height: width } : { width, height });
    // The corners that would lie at negative places are moved to 0.
    const move = (x, y) => Math.max(0, -x * width) + Math.max(0, -y * height);
    this.place = [a, b, c, d, move(a, c), move(b, d)];
    this.width = width;
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.context.imageSmoothingEnabled = false;
    this.column = Math.round(this.canvas.width / 2);
    this.count = 0;
    return sideways ? 1 / shape : shape;
  }

  /** Shows one picture, or two. */
  draw(...pictures) {
    this.count = pictures.length;
    pictures.forEach((rgba, i) => {
      this.pictures[i].getContext("2d").putImageData(new ImageData(rgba, this.width), 0, 0);
    });
    this.compose();
  }

  /** Columns of the canvas left of the split. */
  set split(column) {
    this.column = column;
    this.compose();
  }

  compose() {
    const { context } = this;
    const { width, height } = this.canvas;
    for (let i = 0; i < this.count; i++) {
      context.save();
      if (i > 0) {
        context.beginPath();
        context.rect(this.column, 0, width - this.column, height);
        context.clip();
      }
      context.setTransform(...this.place);
      context.drawImage(this.pictures[i], 0, 0);
      context.restore();
    }
  }
}
