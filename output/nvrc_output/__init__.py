"""What commands write: frames as y4m, YUV, PNG or MP4, files that appear complete or not at all, text for people."""
