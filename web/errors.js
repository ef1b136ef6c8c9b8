// Errors with the codes of spec 9.2 and the exit codes of 9.1.

const UNITS_WITH_NUMBERS = new Set(["NETWORK", "GOP", "DIGEST", "METADATA", "unit"]);

export class NvrcError extends Error {
  /** @param {object} fields code, kind, offset, unit, unitNumber, requirement, section, sentence, cause */
  constructor(fields) {
    const { code, offset, unit, unitNumber, requirement, section, sentence, cause } = fields;
    const numbered = UNITS_WITH_NUMBERS.has(unit) ? `${unit} ${unitNumber}` : unit;
    const place = `${unit === "stream" ? "" : `${numbered} `}at byte 0x${offset.toString(16)}`;
    const where = `spec ${section}${requirement ? `, ${requirement}` : ""}`;
    const reason = cause ? `: ${cause}` : "";
    super(`error[${code}] ${place}: required: ${sentence}${reason} (${where})`);
    this.name = "NvrcError";
    Object.assign(this, fields);
  }

  /** What a message to another thread carries. */
  fields() {
    const { code, kind, offset, unit, unitNumber, requirement, section, sentence, cause } = this;
    return { code, kind, offset, unit, unitNumber, requirement, section, sentence, cause };
  }
}

/** The stream cannot be read; `cause` is a sentence that says why. */
export function readError(cause, offset = 0) {
  return new NvrcError({
    code: "E_READ", kind: 74, offset, unit: "stream", unitNumber: 0, requirement: "", section: "9.2",
    sentence: "the stream can be read", cause,
  });
}
