"""Portal 统一门户: one way in. Frames the pages of every board and is the hospital's HTTP edge."""
