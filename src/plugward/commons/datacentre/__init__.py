"""Data centre 数据中心: the hospital's facts, copied as they happen, and reported on."""
