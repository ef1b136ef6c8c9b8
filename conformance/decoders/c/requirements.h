/* Written by tools/spec/c_requirements.py from annex B of spec/: X(name, number, section, code, sentence). */
#ifndef NVRC_REQUIREMENTS_H
#define NVRC_REQUIREMENTS_H

/* clang-format off */
#define NVRC_REQUIREMENTS(X) \
  X(R1_1, "R1.1", "1.4", "E_LEB128", "a leb128 ends within 9 bytes") \
  X(R1_2, "R1.2", "1.4", "E_LEB128", "a leb128 is as short as its value allows: a last byte of 0 stands only where it is the only byte") \
  X(R2_1, "R2.1", "2.2", "E_MAGIC", "magic is 89 4E 56 52 43 0D 0A 1A") \
  X(R2_2, "R2.2", "2.2", "E_VERSION", "version is 4, the fifth draft") \
  X(R2_3, "R2.3", "2.3", "E_TRUNCATED", "the stream does not end within the stream header, a unit or the footer, nor before END") \
  X(R2_4, "R2.4", "2.3", "E_CRC", "crc is the CRC-32 of its unit, for optional units too") \
  X(R2_5, "R2.5", "2.3", "E_UNSUPPORTED", "every critical unit_type is one of 2.4") \
  X(R2_6, "R2.6", "2.3", "E_LENGTH", "every syntax element of a payload lies inside the payload") \
  X(R2_7, "R2.7", "2.3", "E_LENGTH", "a payload ends with its last syntax element") \
  X(R2_8, "R2.8", "2.5", "E_ORDER", "the first unit is a SEQUENCE and no other is") \
  X(R2_9, "R2.9", "2.5", "E_ORDER", "a NETWORK comes before the first GOP") \
  X(R2_10, "R2.10", "2.5", "E_ORDER", "the unit after each GOP is a DIGEST and a DIGEST stands nowhere else") \
  X(R2_11, "R2.11", "2.5", "E_ORDER", "the unit after an INDEX is END") \
  X(R2_12, "R2.12", "2.5", "E_ORDER", "at least one GOP comes before END") \
  X(R2_13, "R2.13", "2.6", "E_TOTALS", "frame_count and gop_count of END are the sum of frame_count over the GOPs and the number of GOPs") \
  X(R2_14, "R2.14", "2.6", "E_TRAILING", "nothing follows END, or the footer where there is one") \
  X(R2_15, "R2.15", "2.7", "E_INDEX", "INDEX has one entry for each GOP, in order, and each holds the offset of the GOP unit, the number of frames before it, and the offset of the NETWORK unit in force for it") \
  X(R2_16, "R2.16", "2.7", "E_FOOTER", "index_offset is the offset of the INDEX unit") \
  X(R2_17, "R2.17", "2.7", "E_FOOTER", "footer_magic is 4E 56 52 58 (\"NVRX\")") \
  X(R3_1, "R3.1", "3.2", "E_RANGE", "width is in the range 1..65535") \
  X(R3_2, "R3.2", "3.2", "E_RANGE", "height is in the range 1..65535") \
  X(R3_3, "R3.3", "3.2", "E_RANGE", "rate_numerator is in the range 1..2147483647") \
  X(R3_4, "R3.4", "3.2", "E_RANGE", "rate_denominator is in the range 1..2147483647") \
  X(R3_5, "R3.5", "3.2", "E_RANGE", "chroma_format is in the range 0..2") \
  X(R3_6, "R3.6", "3.2", "E_RANGE", "bit_depth is 8 or 10") \
  X(R3_7, "R3.7", "3.2", "E_RESERVED", "reserved bits 1 to 7 of colour_flags are 0") \
  X(R3_8, "R3.8", "3.2", "E_RANGE", "chroma_sample_position is in the range 0..3") \
  X(R3_9, "R3.9", "3.2", "E_RANGE", "chroma_sample_position is 0 where chroma_format is not 1") \
  X(R3_10, "R3.10", "3.2", "E_UNSUPPORTED", "profile is in the range 0..2") \
  X(R3_11, "R3.11", "3.2", "E_RANGE", "level is in the range 0..6") \
  X(R3_12, "R3.12", "3.3", "E_RANGE", "stage_channels[i] is in the range 1..MaxStageChannels[i]") \
  X(R3_13, "R3.13", "3.3", "E_RANGE", "at least one bit of grid_mask other than bits FlowSlot and SplitSlot is 1") \
  X(R3_14, "R3.14", "3.3", "E_RESERVED", "bits NumSlots and above of grid_mask are 0") \
  X(R3_15, "R3.15", "3.3", "E_RANGE", "grid_channels is in the range 1..MaxGridChannels[slot]") \
  X(R3_16, "R3.16", "3.3", "E_RANGE", "multiplier[i] is in the range 1..2048") \
  X(R3_17, "R3.17", "3.3", "E_RANGE", "run_count is in the range 0..16") \
  X(R3_18, "R3.18", "3.3", "E_SCHEDULE", "halve is not 0") \
  X(R3_19, "R3.19", "3.3", "E_SCHEDULE", "phase has no axis that halve has") \
  X(R3_20, "R3.20", "3.3", "E_RESERVED", "reserved bits 3 and 7 of split are 0") \
  X(R3_21, "R3.21", "3.3", "E_RANGE", "repeat is in the range 1..16") \
  X(R3_22, "R3.22", "3.3", "E_SCHEDULE", "NumSplits is at most 32") \
  X(R3_23, "R3.23", "3.3", "E_RANGE", "context_width_1 is in the range 1..64") \
  X(R3_24, "R3.24", "3.3", "E_RANGE", "context_width_2 is in the range 1..64") \
  X(R3_25, "R3.25", "3.3", "E_RANGE", "shift is in the range 0..24") \
  X(R3_26, "R3.26", "3.3", "E_RESERVED", "reserved bit 6 of grid_layout is 0") \
  X(R3_27, "R3.27", "3.3", "E_RANGE", "weight_table is in the range 0..39") \
  X(R3_28, "R3.28", "3.3", "E_RANGE", "bias_shift is in the range 0..23") \
  X(R3_29, "R3.29", "3.3", "E_RANGE", "bias_table is in the range 0..39") \
  X(R3_30, "R3.30", "3.3", "E_LENGTH", "parameter_length is a multiple of 4") \
  X(R3_31, "R3.31", "3.4", "E_RANGE", "frame_count is in the range 1..65536") \
  X(R3_32, "R3.32", "3.4", "E_LENGTH", "grid_length is a multiple of 4") \
  X(R3_33, "R3.33", "3.6", "E_RANGE", "key_length is in the range 1..255") \
  X(R3_34, "R3.34", "3.6", "E_UTF8", "key is well-formed UTF-8") \
  X(R3_35, "R3.35", "3.7", "E_INDEX", "gop_count is not 0") \
  X(R3_36, "R3.36", "3.7", "E_INDEX", "from each entry to the next offset and first_frame increase and network_offset does not decrease, first_frame of the first is 0, and network_offset is less than offset in each") \
  X(R3_37, "R3.37", "3.3", "E_RANGE", "stage_blocks[i] is in the range 0..MaxStageBlocks[i]") \
  X(R3_38, "R3.38", "3.3", "E_RANGE", "schedule is in the range 0..2") \
  X(R3_39, "R3.39", "3.3", "E_RANGE", "grid_channels of the slot FlowSlot is 3") \
  X(R3_40, "R3.40", "3.3", "E_RANGE", "grid_channels of a slot of BandSlots is MaxGridChannels[slot]") \
  X(R3_41, "R3.41", "3.3", "E_RANGE", "the bits of BandSlots are all 0 or all 1") \
  X(R3_42, "R3.42", "3.3", "E_RANGE", "bit FlowSlot is 0 where no bit of NodeSlots is 1") \
  X(R3_43, "R3.43", "3.3", "E_RANGE", "node_spacing_log2 is in the range 0..4") \
  X(R3_44, "R3.44", "3.3", "E_RANGE", "key_spacing_log2 is in the range node_spacing_log2..4") \
  X(R3_45, "R3.45", "3.3", "E_RESERVED", "reserved bits 3 and 7 of spacings are 0") \
  X(R3_46, "R3.46", "3.3", "E_RANGE", "step_factor[i] is in the range 1..255") \
  X(R3_47, "R3.47", "3.4", "E_RESERVED", "bits GridNodes and above of node_map are 0") \
  X(R3_48, "R3.48", "3.3", "E_RANGE", "bit SplitSlot is 0 where bit FlowSlot is 0") \
  X(R3_49, "R3.49", "3.3", "E_RANGE", "grid_channels of the slot SplitSlot is 3") \
  X(R3_50, "R3.50", "3.3", "E_RESERVED", "reserved bits 2 to 7 of prior are 0") \
  X(R3_51, "R3.51", "3.3", "E_RANGE", "synthesis_prior is 0 where chroma_format is not 1") \
  X(R4_1, "R4.1", "4.1", "E_ENTROPY", "the first word of a payload that has words is not 0") \
  X(R4_2, "R4.2", "4.1", "E_ENTROPY", "after the last symbol of a payload no words remain and State is 0") \
  X(R4_3, "R4.3", "4.4", "E_ESCAPE", "prefix is at most 20") \
  X(R4_4, "R4.4", "4.4", "E_RANGE", "each value of a step, escaped or not, is in the range -Limit..Limit; Limit is Q_MAX = 2047 for the values of grids and for weights, and 65535 for biases") \
  X(R5_1, "R5.1", "5.5", "E_BOUND", "the weights and biases of the three context layers meet the 2^24 bound of chapter 6 with the input_max of 6.3") \
  X(R6_1, "R6.1", "6.1", "E_RANGE", "|w[i]| is at most WEIGHT_MAX for every weight") \
  X(R6_2, "R6.2", "6.3", "E_BOUND", "for every output o of every synthesis layer sum over j of |w[j]| * input_max + |b[o] + Rounding| < ACCUMULATOR_LIMIT, the sum being over all weights of the output") \
  X(R8_1, "R8.1", "8.3", "E_DIGEST", "digest equals this value") \
  X(R9_1, "R9.1", "9.4", "E_LEVEL", "width * height is at most MaxFrameSize of the level") \
  X(R9_2, "R9.2", "9.4", "E_LEVEL", "width and height are at most MaxSide") \
  X(R9_3, "R9.3", "9.4", "E_LEVEL", "width * height * rate_numerator is at most MaxRate * rate_denominator") \
  X(R9_4, "R9.4", "9.4", "E_LEVEL", "frame_count of each GOP is at most MaxGopFrames") \
  X(R9_5, "R9.5", "9.4", "E_LEVEL", "GopSymbols (3.4) of each GOP is at most MaxGopSymbols")

/* clang-format on */

#endif
