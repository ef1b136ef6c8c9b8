/** What a stream or its source did wrong. `message` is one line, as the command line prints it. */
export class NvrcError extends Error {
  /** Stable identifier of spec 9.2, such as `E_RANGE`; `E_READ` or `E_MEMORY` where reading or memory failed. */
  code: string;
  /** 65 invalid, 69 unsupported, 74 cannot be read, 77 over a limit. */
  kind: 65 | 69 | 74 | 77;
  /** Byte of the stream at fault. */
  offset: number;
  /** Name of the unit at fault, or "stream", and its number among those of its type. */
  unit: string;
  unitNumber: number;
  /** Such as "R3.25", or "". */
  requirement: string;
  /** Such as "3.3". */
  section: string;
  /** What is required, as annex B of the specification says it. */
  sentence: string;
  /** Why the stream cannot be read; of `E_READ` alone. */
  cause?: string;
}

export interface Frame {
  /** 0 for the first frame of the stream. */
  index: number;
  /** Seconds from the first frame of the stream. */
  time: number;
  /** Planes Y, Cb, Cr without padding (spec 8.3); samples of 10 bits in two bytes, little-endian. */
  data: Uint8Array;
  /** Views of `data`, row by row; u and v are null for 4:0:0. */
  y: Uint8Array | Uint16Array;
  u: Uint8Array | Uint16Array | null;
  v: Uint8Array | Uint16Array | null;
  /** Width x height x 4, where it was asked for: full range, chroma interpolated; not turned. */
  rgba?: Uint8ClampedArray;
}

/** An entry of METADATA (spec 3.6). */
export interface Metadata {
  key: string;
  value: Uint8Array;
  /** Frames of the stream before the entry. */
  firstFrame: number;
}

/** When each frame is shown, in seconds from the first: nvrc.times, and the rate where there is none. */
export interface Timeline {
  /** For the number of frames, the duration of the video. */
  start(frame: number): number;
  duration(frame: number): number;
  /** The frame that is shown then: the first one before the video, the last one after it. */
  frameAt(seconds: number): number;
  /** The duration of the video. */
  readonly end: number;
}

/** How to show the frames (spec 3.6.1); null where the stream does not say. */
export interface Presentation {
  /** A sample is shown width / height times as wide as high. */
  sampleAspect: { width: number; height: number } | null;
  /** First mirrored left to right if `flip`, then turned counter-clockwise. */
  orientation: { degrees: 0 | 90 | 180 | 270; flip: boolean } | null;
  /** The two numbers of nvrc.light, in its order and units. */
  light: number[] | null;
  /** The ten numbers of nvrc.mastering, in its order and units. */
  mastering: number[] | null;
  /** Sentences about entries that are ignored. */
  ignored: string[];
}

/** A unit (spec 2.3): its name, its first byte and all of its bytes. */
export interface Unit {
  name: string;
  offset: number;
  size: number;
  /** Of a GOP: bytes of each coded grid, in the order of the stream (spec 3.4). */
  grids?: { slot: number; bytes: number }[];
}

export interface OpenOptions {
  /** Most memory that the decoder takes; 900000000 bytes. */
  memoryBytes?: number;
  /**
   * "all" reads all METADATA, which takes a range request for each GOP; "first" only that before the first GOP.
   * "first" is the default where a server answers range requests.
   */
  metadata?: "all" | "first";
  /**
   * Take raw video in y4m as well: 4:0:0, 4:2:0 or 4:4:4, 8 or 10 bits. Its errors are Errors without a code. `matrix`
   * is the code point of H.273 that converts it to RGB, which y4m does not tell; 2 where it is left out.
   */
  y4m?: { matrix?: number };
}

export interface FrameOptions {
  /** Convert the frame to RGBA, too; in the worker. */
  rgba?: boolean;
}

export class NvrcVideo {
  /**
   * Opens a stream. In a browser a worker reads and decodes it. Of a URL whose server answers range requests, it reads
   * what it needs; every other URL, and in Node any, is read as a whole. In Node a relative URL is a file name.
   *
   * Rejects with an NvrcError, with a TypeError where `source` is none of these, or with an Error where the worker does
   * not start.
   */
  static open(source: string | URL | ArrayBuffer | Uint8Array | Blob, options?: OpenOptions): Promise<NvrcVideo>;

  readonly width: number;
  readonly height: number;
  readonly frameCount: number;
  /** Frames per second. */
  readonly rate: { numerator: number; denominator: number };
  readonly chromaFormat: "4:0:0" | "4:2:0" | "4:4:4";
  readonly bitDepth: 8 | 10;
  /** Code points of H.273; 2 is unspecified. chromaPosition: 0 unknown, 1 left, 2 centre, 3 top left. */
  readonly colour: {
    primaries: number;
    transfer: number;
    matrix: number;
    fullRange: boolean;
    chromaPosition: 0 | 1 | 2 | 3;
  };
  /** "y4m" for raw video, whose level is 0. */
  readonly profile: "nano" | "lite" | "main" | "y4m";
  readonly level: number;
  /** Size of the stream. */
  readonly bytes: number;
  /** First frame of each GOP. */
  readonly gops: number[];
  /** In the order of the stream, 4096 entries at most. */
  readonly metadata: Metadata[];
  readonly times: Timeline;
  readonly presentation: Presentation;

  /**
   * Frames in order. From 0 on, the iterator checks the whole stream: that it ends without an error means that the
   * stream is complete and kept every requirement. The digest of a GOP is checked after its last frame. A RangeError
   * where there is no frame `from`.
   */
  frames(from?: number, options?: FrameOptions): AsyncGenerator<Frame, void>;
  /** One frame; quick where it is the one after the last. A RangeError where there is none. */
  frame(index: number, options?: FrameOptions): Promise<Frame>;
  /** Reads what frame `index` needs, so that `frame(index)` comes at once. A RangeError where there is none. */
  seek(index: number): Promise<void>;
  /**
   * The units of a GOP in order, with NETWORK and METADATA that come between it and the GOP before; none of y4m. Reads
   * their headers alone. A RangeError where there is no such GOP.
   */
  units(gop: number): Promise<Unit[]>;
  /**
   * After the last frame: checks the digest of its GOP, if all of its frames were taken in order, and the rest of the
   * stream. An iterator of `frames` does so itself.
   */
  finish(): Promise<void>;
  /** Ends the worker; what is waited for is rejected. */
  close(): void;
}
