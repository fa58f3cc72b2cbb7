"""The hospital day 模拟医院日: patients, staff, clocks, outside systems, a seed."""
