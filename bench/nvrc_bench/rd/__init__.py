"""Rate-distortion: encode clips with several codecs at several rates, decode, compare, and report BD-rates."""
