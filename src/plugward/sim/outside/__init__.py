"""Outside systems 院外系统模拟: each keeps its own state and shares no code with the hub."""
